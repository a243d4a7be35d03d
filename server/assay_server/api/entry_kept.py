"""What agents were answered, kept until it changes: they ask every few seconds, and it hardly ever does."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from google.protobuf.message import Message

from assay_proto.spire.api.types.entry_pb2 import EntryMask
from assay_server.authorization.view import AgentView

MOST_BYTES = 8 * 1024 * 1024
"""Of all answers as they are sent; in memory they take some three times that."""

_SHARE = 4  # of all that one answer may take: it would push out too many others

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class _Kept(Generic[M]):
    edition: int
    mask: bytes | None
    messages: Sequence[M]


class KeptAnswers(Generic[M]):
    """The last answer to each agent's view. Nobody may change the messages."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._bytes = 0
        self._kept: WeakKeyDictionary[AgentView, _Kept[M]] = WeakKeyDictionary()

    async def get(
        self, view: AgentView, mask: EntryMask | None, make: Callable[[], Awaitable[Sequence[M]]]
    ) -> Sequence[M]:
        """What `make` answers for the view as it is, seen through that mask; made only if there is need to."""
        edition, seen_through = view.edition, None if mask is None else mask.SerializeToString(deterministic=True)
        kept = self._kept.get(view)
        if kept is None or (kept.edition, kept.mask) != (edition, seen_through):
            kept = _Kept(edition, seen_through, await make())
            self._keep(view, kept)
        return kept.messages

    def _keep(self, view: AgentView, kept: _Kept[M]) -> None:
        size = sum(message.ByteSize() for message in kept.messages)
        if size > self._most // _SHARE:
            self._kept.pop(view, None)
            return
        # What views that are gone had is counted still: at worst all is made anew a little earlier.
        self._bytes += size
        if self._bytes > self._most:
            self._kept.clear()
            self._bytes = size
        self._kept[view] = kept
