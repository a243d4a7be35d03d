"""Who is calling, as authorization found out; handlers read it with `current_caller()`."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum

from assay.errors import PermissionDeniedError
from assay.spiffeid import SpiffeId
from assay_server.model import Node


class CallerKind(Enum):
    """What the caller was admitted as.

    `OTHER` is a caller with an SVID to whom an RPC is open that is open to anyone: nothing more was looked up.
    """

    LOCAL = "local"
    ANONYMOUS = "anonymous"
    AGENT = "agent"
    ADMIN = "admin"
    DOWNSTREAM = "downstream"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Credential:
    """The X.509-SVID a caller showed, verified by the transport: serial number in decimal, expiry in Unix seconds."""

    spiffe_id: SpiffeId
    serial: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller. `address` is its IP address and port, empty on the admin socket.

    `node` is the row that admitted an agent, as it was when the RPC began. `hints`: refusals tell it what to do next.
    """

    kind: CallerKind
    credential: Credential | None = None
    node: Node | None = None
    address: str = ""
    hints: bool = False

    @property
    def spiffe_id(self) -> SpiffeId | None:
        """The caller's ID, if it showed an SVID."""
        return self.credential.spiffe_id if self.credential else None

    @property
    def host(self) -> str:
        """The address without its port, as rate limits count by it."""
        return self.address.rpartition(":")[0]


_current: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """The caller of the RPC that is being answered.

    Raises:
        LookupError: there is no RPC; a defect, since the interceptor sets it before any handler runs.
    """
    return _current.get()


def admitted_caller() -> Caller | None:
    """The caller of the RPC that is being answered; None while it was not admitted."""
    return _current.get(None)


def set_current_caller(caller: Caller) -> None:
    """Say whom the running task answers, until it ends: each RPC has a task, and so a context, of its own."""
    _current.set(caller)


def caller_id() -> SpiffeId:
    """The SPIFFE ID of the current caller, for RPCs that are about itself.

    Raises:
        PermissionDeniedError: it showed none.
    """
    spiffe_id = current_caller().spiffe_id
    if spiffe_id is None:
        raise PermissionDeniedError("caller does not have a SPIFFE ID")
    return spiffe_id
