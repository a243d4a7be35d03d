"""Refusals that carry the decision, so that a person can look it up and a program tell them apart."""

from assay.errors import PermissionDeniedError
from assay_server.model.governed.decision import Decision, Effect


class DecisionRefusedError(PermissionDeniedError):
    """Policy said no, or not without approval: the message has the reason and the decision, the hint the advice."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(f"{decision.reason} (decision {decision.decision_id})", hint=decision.advice)
        self.decision = decision

    @property
    def needs_approval(self) -> bool:
        """Whether a human's approval would lift it."""
        return self.decision.effect is Effect.NEEDS_APPROVAL


class TaskRefusedError(PermissionDeniedError):
    """The task does not exist for this caller, or is not active. To strangers the two look the same."""


class AuthorityExceededError(PermissionDeniedError):
    """What is asked for is not within what the task was approved for."""
