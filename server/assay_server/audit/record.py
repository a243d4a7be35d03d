"""What one line of the trail says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

Value: TypeAlias = str | int | bool
Fields: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class LocalCaller:
    """A process on the admin socket, as the kernel names it; `path` is empty when it cannot be seen."""

    uid: int
    gid: int
    pid: int
    path: str


@dataclass(frozen=True, slots=True)
class RemoteCaller:
    """A TLS client: its address and port, and its SPIFFE ID, empty for one without an SVID."""

    address: str
    spiffe_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """gRPC's status, by Go's name, and the words that the caller was told; no words when it went well."""

    code: str = "OK"
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.code == "OK"


@dataclass(frozen=True, slots=True)
class Record:
    """One call, or one item of a batch.

    `method` is the full method name, `object` says in SPIRE's words what the call was about. `authorized_as` is SPIRE's
    word for what the caller was admitted as, "nobody" where anyone is; it is empty when authorization refused. All
    items of a call have its `request_id`.
    """

    time: datetime
    request_id: str
    method: str
    caller: LocalCaller | RemoteCaller
    authorized_as: str
    object: Fields
    outcome: Outcome


class Trail(Protocol):
    """Where records go."""

    def write(self, record: Record) -> None:
        """Write one; never raises."""
        ...
