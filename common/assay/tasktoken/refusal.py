"""How task tokens are refused: the reasons are `assay.svid.refusal`'s, so that who handles those handles these."""

from assay.errors import Kind
from assay.svid.refusal import Reason, RefusedError
from assay.tasktoken.token import TaskToken

__all__ = ["NotAllowedError"]


class NotAllowedError(RefusedError):
    """The token is good, and not for this: ACTION_NOT_ALLOWED or UNKNOWN_CONSTRAINT."""

    kind = Kind.PERMISSION_DENIED

    def __init__(self, reason: Reason, message: str, token: TaskToken, *, hint: str = "") -> None:
        super().__init__(reason, message, spiffe_id=token.instance, hint=hint)
