"""Whether a credential still counts: what verifiers ask of whoever knows, and what follows from the answer.

A signature says what was issued, not what has ended since. That is learnt from a `StatusSource`, which says what it
knows and how old its knowledge is; the rules here refuse what has ended, and whatever nobody can vouch for any more.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from assay.errors import Kind, UnavailableError
from assay.spiffeid import SpiffeId
from assay.svid.refusal import Reason, RefusedError, SvidRefusedError

__all__ = ["GRAVEST", "Ended", "Index", "Question", "Standing", "StatusCheck", "StatusSource", "StatusUnknownError"]

GRAVEST = ""
"""The class of actions whose class is not known: knowledge that is older than it has to be will not do for them."""


class StatusUnknownError(RefusedError, UnavailableError):
    """Nobody knows now whether it has ended, so that it does not count; the same request may succeed later."""

    kind = Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Index:
    """A credential's place in a status list (its `status` claim)."""

    uri: str
    number: int


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about: a credential by its `jti` and its place in a list, identities, and for what class of action.

    A credential without a `jti` is known by its identities alone.
    """

    jti: str
    identities: tuple[SpiffeId, ...] = ()
    index: Index | None = None
    action_class: str = GRAVEST


@dataclass(frozen=True, slots=True)
class Ended:
    """That it counts no more: REVOKED or WITHDRAWN, and the issuer's word for why."""

    reason: Reason
    cause: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known.

    Attributes:
        ended: that it counts no more; None as far as is known.
        age: seconds since that was the whole truth; infinity where nothing was ever known.
        fresh: whether knowledge of that age will do for the class of action.
        degraded: whether it is older than it is while all is well.
        issuer_time: the latest time by the issuer's clock that it told, in Unix seconds.
    """

    ended: Ended | None = None
    age: float = math.inf
    fresh: bool = False
    degraded: bool = True
    issuer_time: float = -math.inf


class StatusSource(Protocol):
    """Who knows what has ended."""

    def standing(self, question: Question, /) -> Standing:
        """What is known now. Never blocks and never fails: what cannot be known is `Standing()`."""
        ...


def check(standing: Standing, expires_at: float, now: float, *, spiffe_id: SpiffeId | None = None) -> int:
    """Refuse what has ended, or what nobody can vouch for; how old the knowledge is, 0 while all is well.

    Clocks may differ by `LEEWAY`, which verifiers allow tokens beyond their end. There is none of it once the issuer's
    own clock is known to be past that end, since it forgets what expires, nor while knowledge is older than usual.

    Args:
        standing: what is known.
        expires_at: the credential's end; times are Unix seconds.
        now: by this machine's clock.
        spiffe_id: whose it is, for the refusal.

    Raises:
        SvidRefusedError: it has ended.
        StatusUnknownError: that cannot be told.
    """
    if standing.ended is not None:
        why = f": {standing.ended.cause}" if standing.ended.cause else ""
        raise SvidRefusedError(standing.ended.reason, f"credential has ended before its time{why}", spiffe_id=spiffe_id)
    if not standing.fresh:
        known = "was never known" if math.isinf(standing.age) else f"was known {standing.age:.0f} s ago"
        raise StatusUnknownError(
            Reason.STATUS_UNKNOWN, f"whether the credential has ended {known}", spiffe_id=spiffe_id
        )
    if expires_at <= standing.issuer_time or (standing.degraded and expires_at <= now):
        raise SvidRefusedError(Reason.EXPIRED, "token has expired", spiffe_id=spiffe_id)
    return math.ceil(standing.age) if standing.degraded else 0


@dataclass(frozen=True, slots=True)
class StatusCheck:
    """For verifiers of SVIDs: refuses those whose issuer has ended them, or withdrawn their identity.

    An SVID says nothing of what it is used for. `action_class` does: how old knowledge may be follows from it, and
    unless it is told, no older than it is while all is well.
    """

    source: StatusSource
    action_class: str = GRAVEST

    def check(self, jti: str, spiffe_id: SpiffeId, expires_at: float, now: float) -> None:
        """Return if it counts; times are Unix seconds, `jti` is empty where there is none.

        Raises:
            SvidRefusedError: it has ended.
            StatusUnknownError: that cannot be told.
        """
        question = Question(jti, (spiffe_id,), action_class=self.action_class)
        check(self.source.standing(question), expires_at, now, spiffe_id=spiffe_id)
