"""What was presented once and must not be again, for as long as it would be taken."""

import threading
from collections.abc import Mapping

from assay.errors import ResourceExhaustedError
from assay.svid import compact
from assay.svid.refusal import Reason, SvidRefusedError

MAX_SEEN = 100_000
SKEW = 60
"""Seconds by which the clock of whoever made a proof may be ahead."""

_MAX_JTI = 200
# Seconds between two looks for what may be forgotten: each look is at everything.
_SWEEP = 1.0


class Seen:
    """Names of proofs, each until its end. When it is full nothing is taken, rather than something twice.

    It may be used from several threads.
    """

    def __init__(self, limit: int = MAX_SEEN) -> None:
        self._limit = limit
        self._ends: dict[str, float] = {}
        self._swept = float("-inf")
        self._lock = threading.Lock()

    def first(self, name: str, now: float, ends_at: float) -> bool:
        """Whether it was not presented before; times are Unix seconds.

        Raises:
            ResourceExhaustedError: too many are remembered.
        """
        with self._lock:
            if self._ends.get(name, now) > now:
                return False
            if len(self._ends) >= self._limit:
                self._forget(now)
            if len(self._ends) >= self._limit:
                raise ResourceExhaustedError("too many proofs of possession at once")
            self._ends[name] = ends_at
            return True

    def _forget(self, now: float) -> None:
        # A clock that was set back must not keep it from looking.
        if abs(now - self._swept) >= _SWEEP:
            self._swept = now
            self._ends = {name: ends_at for name, ends_at in self._ends.items() if ends_at > now}


def check_fresh(payload: Mapping[str, object], now: float, seen: Seen, kind: str, life: float) -> None:
    """Refuse a proof that was not made within the last `life` seconds, or was presented before under that kind.

    Raises:
        SvidRefusedError: it is not taken.
        ResourceExhaustedError: too many are remembered.
    """
    try:
        issued_at = compact.date(payload, "iat")
    except SvidRefusedError as error:
        raise bad_proof(error.message) from None
    jti = payload.get("jti")
    if issued_at is None or not now - life <= issued_at <= now + SKEW:
        raise bad_proof("it was not made just now")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise bad_proof("it has no jti")
    if not seen.first(f"{kind}/{jti}", now, issued_at + life + SKEW):
        raise bad_proof("it was presented before")


def bad_proof(why: str) -> SvidRefusedError:
    """What a proof of possession that proves nothing is refused with."""
    return SvidRefusedError(Reason.BAD_PROOF, f"proof of possession is not accepted: {why}")
