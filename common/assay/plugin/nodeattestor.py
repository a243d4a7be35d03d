"""Node attestation: the two ends of one conversation, whose messages the AttestAgent stream carries."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from assay.selector import Selector
from assay.spiffeid import SpiffeId


@dataclass(frozen=True, slots=True)
class AttestedNode:
    """What a node proved to be."""

    spiffe_id: SpiffeId
    selectors: tuple[Selector, ...] = ()
    can_reattest: bool = False


class ServerNodeAttestor(Protocol):
    """The server's end."""

    async def attest(self, payload: bytes, challenge: Callable[[bytes], Awaitable[bytes]]) -> AttestedNode:
        """Decide what the node is; `challenge` sends bytes and returns the node's answer.

        Raises:
            AssayError: the node is not admitted.
        """
        ...


class AgentConversation(Protocol):
    """One attestation as the agent sees it: what to send first and what to answer."""

    @property
    def payload(self) -> bytes:
        """The first message."""
        ...

    async def answer(self, challenge: bytes) -> bytes:
        """The reply to one challenge; raises AssayError when there is none to give."""
        ...


class AgentNodeAttestor(Protocol):
    """The agent's end."""

    @property
    def type(self) -> str:
        """The name on the wire, such as `x509pop`."""
        ...

    async def begin(self) -> AgentConversation:
        """Start over with what the disk holds now, so that a renewed certificate is seen."""
        ...
