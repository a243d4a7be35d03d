"""The two streaming RPCs: requests and changes of the cache in, responses out, for as long as the caller lives."""

import asyncio
from collections.abc import AsyncIterable
from typing import Any, Protocol

from assay.rpc.method import Context
from assay_agent.cache import WorkloadView
from assay_agent.workload.caller import Caller


class Conversation(Protocol):
    """Decides what to send; `respond` is asked after each request and each change."""

    def receive(self, request: Any, /) -> None:  # noqa: ANN401 - the method's request
        """Take a request."""
        ...

    def respond(self, view: WorkloadView, /) -> Any:  # noqa: ANN401 - the method's response, or None
        """What is due."""
        ...


async def talk(
    conversation: Conversation,
    requests: AsyncIterable[Any],
    views: AsyncIterable[WorkloadView],
    caller: Caller,
    context: Context,
) -> None:
    """Hold the conversation until the caller has said its last.

    Who does not read is not listened to either: requests wait in the stream's window, and of changes the newest stays.

    Raises:
        AssayError, EndError: as the conversation and the views do, or the caller has died.
    """
    try:
        await _Talk(conversation, caller, context).run(requests, views)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


class _Talk:
    def __init__(self, conversation: Conversation, caller: Caller, context: Context) -> None:
        self._conversation = conversation
        self._caller = caller
        self._context = context
        self._view: WorkloadView | None = None
        self._writing = asyncio.Lock()

    async def run(self, requests: AsyncIterable[Any], views: AsyncIterable[WorkloadView]) -> None:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(views))
            async for request in requests:
                self._conversation.receive(request)
                await self._respond()
            watching.cancel()

    async def _watch(self, views: AsyncIterable[WorkloadView]) -> None:
        async for view in views:
            self._view = view
            await self._respond()

    async def _respond(self) -> None:
        # One at a time: a response is built when the one before has left, of what the cache holds by then.
        async with self._writing:
            if self._view is None:
                return
            response = self._conversation.respond(self._view)
            if response is not None:
                self._caller.check_alive()
                await self._context.write(response)
