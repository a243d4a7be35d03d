"""What the server answers, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import AssayError
from assay.spiffeid import SpiffeId, TrustDomain


@dataclass(frozen=True, slots=True)
class AgentSvid:
    """The agent's own SVID: chain as DER, leaf first, and whether the node may attest again to renew it."""

    chain: tuple[bytes, ...]
    reattestable: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """The answer to a batch: chains (DER, leaf first) and refusals, both by entry ID."""

    chains: Mapping[str, tuple[bytes, ...]]
    refused: Mapping[str, AssayError]


@dataclass(frozen=True, slots=True)
class IssuedJwt:
    """A JWT-SVID from the server. Times are Unix seconds; the token is a secret."""

    token: str
    spiffe_id: SpiffeId
    issued_at: int
    expires_at: int

    def __repr__(self) -> str:
        return f"IssuedJwt({self.spiffe_id}, issued_at={self.issued_at}, expires_at={self.expires_at})"


@dataclass(frozen=True, slots=True)
class PrincipalJwt:
    """A JWT-SVID of a principal, and the task that it ends with: none if `task_id` is empty. Times are Unix seconds."""

    token: str = field(repr=False)
    spiffe_id: SpiffeId
    issued_at: int
    expires_at: int
    task_id: str


@dataclass(frozen=True, slots=True)
class InstanceRequest:
    """An SVID that is asked for: of which entry, which instance, and the request (DER) of its key."""

    entry_id: str
    value: str
    csr: bytes


@dataclass(frozen=True, slots=True)
class IssuedWit:
    """A WIT-SVID from the server. Times are Unix seconds."""

    token: str = field(repr=False)
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the server's change sequence; places of two incarnations of its store do not compare."""

    incarnation: str
    sequence: int


@dataclass(frozen=True, slots=True)
class WatchUpdate:
    """One whole update of the Watch stream; what a snapshot does not name is gone. `bundle` is None if unchanged."""

    position: Position
    snapshot: bool = False
    entries: tuple[Entry, ...] = ()
    removed: tuple[str, ...] = ()
    bundle: Bundle | None = None
    federated: tuple[Bundle, ...] = ()
    removed_federated: tuple[TrustDomain, ...] = ()


@dataclass(frozen=True, slots=True)
class EntryChanges:
    """What differs between the entries an agent knows and those it is authorized for."""

    changed: tuple[Entry, ...] = ()
    removed: tuple[str, ...] = ()
