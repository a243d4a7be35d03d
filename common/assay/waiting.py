"""Waiting for whichever of several things comes first."""

import asyncio
from collections.abc import Awaitable


async def first_of(*waits: Awaitable[object]) -> None:
    """Return when the first of them does; the others are cancelled. What any of them raises is raised in a group."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_await(wait)) for wait in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def _await(wait: Awaitable[object]) -> None:
    await wait
