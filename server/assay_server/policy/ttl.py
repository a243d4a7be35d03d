"""How long an answer counts: the least of what policy gives, what was asked for, and what everything ends at.

Two caps are no policy's to raise: the short one, and for reads of low risk that are watched the long one.
"""

from collections.abc import Iterable

from assay_server.policy.rule import Rule

SHORT_TTL = 300
"""Seconds; the most for an AI agent, and for whatever is more than a watched read of low risk."""
LONG_TTL = 3600
"""Seconds; the most for the rest."""


def ttl_of(permits: Iterable[Rule], requested: int, left: int, *, may_last: bool) -> int:
    """Seconds; none is left if it is not positive. A `requested` of 0 takes what is usual.

    A permit that names no TTL gives the short one.
    """
    cap = LONG_TTL if may_last else SHORT_TTL
    given = min((rule.max_ttl or SHORT_TTL for rule in permits), default=0)
    return min(cap, given, requested or SHORT_TTL, left)
