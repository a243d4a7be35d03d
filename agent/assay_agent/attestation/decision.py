"""What the agent makes of its own SVID's state and of the server's refusals."""

from enum import Enum, auto

from assay.errors import AssayError, DenialReason, PermissionDeniedError

# Seconds taken off an SVID's life when it is looked at, against clocks that differ a little.
CLOCK_SKEW = 1.0

SLOTS = ("agent-svid-A", "agent-svid-B")
"""IDs of the agent's keys, SPIRE's. The key in use and the next one are never in the same slot."""


class Reaction(Enum):
    """How to go on after a refusal."""

    RETRY = auto()
    REATTEST = auto()
    STOP = auto()


_REACTIONS = {
    DenialReason.AGENT_BANNED: Reaction.STOP,
    DenialReason.AGENT_EXPIRED: Reaction.REATTEST,
    DenialReason.AGENT_NOT_ATTESTED: Reaction.REATTEST,
    DenialReason.AGENT_NOT_ACTIVE: Reaction.REATTEST,
    DenialReason.AGENT_MUST_REATTEST: Reaction.REATTEST,
}


def reaction(error: AssayError) -> Reaction:
    """What the server's refusal asks of the agent; without a reason the same request may succeed later."""
    if isinstance(error, PermissionDeniedError) and error.reason is not None:
        return _REACTIONS[error.reason]
    return Reaction.RETRY


def time_left(delay: float, since: float | None, now: float) -> float:
    """Seconds until an agent may give up a bundle that the server's certificate has not fitted since then."""
    return delay if since is None else max(0.0, delay - (now - since))


def expired(not_after: float, now: float) -> bool:
    """Whether an SVID is of no use any more."""
    return now + CLOCK_SKEW >= not_after


def other_slot(slot: str | None) -> str:
    """Where the next key goes, given where the present one is."""
    return SLOTS[1] if slot == SLOTS[0] else SLOTS[0]
