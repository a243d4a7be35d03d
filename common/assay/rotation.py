"""When an X.509-SVID is renewed: SPIRE's window, with one draw per certificate rather than one per look.

SPIRE draws the jitter anew at each check, so that renewals bunch at the window's early edge. Here a certificate's
place in the window follows from its bytes: it is the same at every look and after a restart, and spreads a fleet.
"""

import hashlib

# Seconds over which renewals are spread when an availability target is set, as SPIRE has it.
TARGET_SPREAD = 600.0
# Seconds that an availability target must leave a certificate in use, or it is not honoured.
TARGET_GRACE = 12 * 3600.0

# Seconds for which a new certificate is used before the next, at most and at least: SPIRE looks every five.
LONG_ENOUGH, NO_SOONER = 5.0, 1.0


def draw(certificate: bytes) -> float:
    """A number in [0, 1) that is this certificate's (DER) own."""
    return int.from_bytes(hashlib.sha256(certificate).digest()[:6], "big") / 2**48


def renew_at(not_before: float, not_after: float, place: float, availability_target: float | None = None) -> float:
    """The Unix time at which to renew: 45 to 55 % of the lifetime before the end, by `place` in [0, 1).

    With an availability target, in seconds, no later than that (and up to 10 minutes) before the end.
    """
    lifetime = not_after - not_before
    left = lifetime * (0.45 + 0.1 * place)
    if availability_target is not None and lifetime - availability_target > TARGET_GRACE:
        left = max(left, availability_target + TARGET_SPREAD * place)
    return not_after - left


def rest(left: float) -> float:
    """Seconds for which a certificate is used that was issued just now, with so many seconds of it left.

    One that is past its middle when it comes, because it is short or a clock is wrong, would be renewed without pause;
    one that is over already makes no haste: its successor would be over, too. The pause is to be kept by a monotonic
    clock, or a clock that was ahead and is set right would hold the renewal back.
    """
    return LONG_ENOUGH if left <= 0 else max(NO_SOONER, min(LONG_ENOUGH, left / 2))
