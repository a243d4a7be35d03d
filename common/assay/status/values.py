"""What is told of the status of credentials and identities."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Revoked:
    """A credential that ended before its time; times in Unix seconds."""

    jti: str
    task_id: str
    expires_at: int
    revoked_at: int
    cause: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A SPIFFE ID that counts no more (`withdrawn`), or counts again."""

    spiffe_id: str
    withdrawn: bool
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody lacks: of everything there is if `snapshot`, or else since what he holds.

    `at` (Unix seconds) is when all of it was the whole truth last, `interval` the longest pause until more is told.
    """

    position: int
    incarnation: str
    snapshot: bool
    revoked: tuple[Revoked, ...] = ()
    identities: tuple[Identity, ...] = ()
    at: int = 0
    interval: int = 0
    staleness: Mapping[str, int] = field(default_factory=dict[str, int])
