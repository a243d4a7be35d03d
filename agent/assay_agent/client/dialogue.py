"""Streams on which each request has its answer."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from google.protobuf.message import Message

from assay.errors import UnavailableError
from assay.wire.service import Exchange
from assay_agent.client.refusal import refusals

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Dialogue(Generic[Request, Response]):
    """One stream, seen by the side that asks."""

    def __init__(self, call: Exchange[Request, Response]) -> None:
        self._call = call

    async def ask(self, request: Request) -> Response:
        """Send and wait for the answer.

        Raises:
            AssayError: the server ended the stream, with its reason.
        """
        await self._call.write(request)
        return await self.hear()

    async def hear(self) -> Response:
        """Wait for one more answer to the last request."""
        with refusals():
            answer = await self._call.read()
        if answer is None:
            raise UnavailableError("server ended the conversation early")
        return answer


@asynccontextmanager
async def conversing(call: Exchange[Request, Response]) -> AsyncGenerator[Dialogue[Request, Response]]:
    """Hold a dialogue and leave no stream behind."""
    with refusals():
        async with call:
            yield Dialogue(call)
