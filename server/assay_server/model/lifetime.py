"""How long an SVID can live under a CA that is replaced on schedule: SPIRE's rule. All numbers are seconds."""

DAY = 24 * 3600
ACTIVATION_SHARE = 6
ACTIVATION_CAP = 7 * DAY


def safe_ttl(authority_ttl: int) -> int:
    """The longest SVID lifetime that an authority of that lifetime never has to cut short.

    An authority stops signing when that much of its own life is left: a sixth of it, 7 days at most.
    """
    return min(authority_ttl // ACTIVATION_SHARE, ACTIVATION_CAP)
