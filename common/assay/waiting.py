"""Waiting for whichever of several things comes first."""

import asyncio
from collections.abc import Awaitable


async def first_of(*waits: Awaitable[object]) -> None:
    """Return when the first of them does; the others are cancelled. What one of them raises is raised."""
    # A task group of Python 3.11 keeps the exception that ends it, and with that all frames it was raised through.
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # noqa: TID251 - all have ended when this returns
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    failed = [error for task in tasks if not task.cancelled() and (error := task.exception()) is not None]
    tasks.clear()
    if failed:
        raise failed.pop()
