"""Streams on which each request has its answer."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeVar, cast

from grpc import aio

from assay.errors import UnavailableError
from assay_agent.client.refusal import refusals

Request = TypeVar("Request")
Response = TypeVar("Response")


class Dialogue(Generic[Request, Response]):
    """One stream, seen by the side that asks."""

    def __init__(self, call: aio.StreamStreamCall[Request, Response]) -> None:
        self._call = call

    async def ask(self, request: Request) -> Response:
        """Send and wait for the answer.

        Raises:
            AssayError: the server ended the stream, with its reason.
        """
        with refusals(), suppress(asyncio.InvalidStateError):  # if the server has ended the stream, reading says why
            await self._call.write(request)
        return await self.hear()

    async def hear(self) -> Response:
        """Wait for one more answer to the last request."""
        with refusals():
            answer = await self._call.read()
        if answer is aio.EOF:
            raise UnavailableError("server ended the conversation early")
        return cast("Response", answer)


@asynccontextmanager
async def conversing(call: aio.StreamStreamCall[Request, Response]) -> AsyncGenerator[Dialogue[Request, Response]]:
    """Hold a dialogue and leave no stream behind."""
    try:
        yield Dialogue(call)
    finally:
        call.cancel()
