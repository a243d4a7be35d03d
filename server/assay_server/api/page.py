"""Pages as requests ask for them, and as clients can receive them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from assay.rpc.message import MAX_MESSAGE_BYTES
from assay_server.datastore.base import Page

# Bytes at most of what is beside a message's items, a token say, and of what stands before each of them.
_OVERHEAD, _OVERHEAD_OF_ONE = 64, 6

M = TypeVar("M", bound=Message)


class Paged(Protocol):
    """A request that may ask for a page."""

    @property
    def page_size(self) -> int:
        """At most so many; 0 or less for all."""
        ...

    @property
    def page_token(self) -> str:
        """Where to go on, from an earlier answer."""
        ...


def page_from_proto(request: Paged) -> Page:
    """The page; all there is if the request asks for none, whatever its token."""
    return Page(request.page_size, request.page_token) if request.page_size > 0 else Page()


async def bounded(page: Page, answer: Callable[[Page], Awaitable[tuple[M, Sequence[Message]]]]) -> M:
    """The response that `answer` makes of the page, or of a shorter one where it would be too long for clients.

    `answer` gives the items that are in the response, too. Who asks for no page may not look for a second one, and so
    is sent all there is, or fails on it.
    """
    while True:
        response, items = await answer(page)
        size = fitting(response, items, MAX_MESSAGE_BYTES)
        if not page.size or size == len(items):
            return response
        page = replace(page, size=size)


def fitting(message: Message, items: Sequence[Message], most_bytes: int) -> int:
    """How many of the items that are in the message may stay for it not to be longer; one at least, if there is one.

    gRPC's clients refuse messages of more than 4 MiB unless told otherwise.
    """
    if message.ByteSize() <= most_bytes:
        return len(items)
    left = most_bytes - _OVERHEAD
    for count, item in enumerate(items):
        left -= item.ByteSize() + _OVERHEAD_OF_ONE
        if left < 0:
            return max(1, count)
    return len(items)
