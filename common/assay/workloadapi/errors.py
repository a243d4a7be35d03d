"""What clients and sources of the Workload API refuse with, beside the kinds that the agent's gRPC codes stand for."""

from datetime import datetime

from assay.errors import FailedPreconditionError, NotFoundError, PermissionDeniedError, UnavailableError
from assay.spiffeid import SpiffeId


class MalformedResponseError(FailedPreconditionError):
    """The agent's message lacks what it must have, or is not what it says; it was dropped whole (section 4.5)."""


class SourceClosedError(FailedPreconditionError):
    """The source is not open: never was, or not any more."""


class ForkedError(FailedPreconditionError):
    """A blocking source or client was used in a child of the process that opened it."""


class SourceNotReadyError(UnavailableError):
    """No first update came in time; the error of the last attempt is `__cause__`."""


class NoIdentityError(PermissionDeniedError):
    """The agent says that this workload has no identity, or has it no longer (section 5.2.1)."""


class NoSuchIdentityError(NotFoundError):
    """The workload has identities, and none is the one that was asked for (section 8)."""


class SvidExpiredError(UnavailableError):
    """The agent has not renewed the SVID in time, and an expired one is not handed out.

    Attributes:
        spiffe_id: whose SVID it is.
        expired_at: when it ended.
    """

    def __init__(self, spiffe_id: SpiffeId, expired_at: datetime, *, hint: str = "") -> None:
        super().__init__(f"X.509-SVID of {spiffe_id} expired at {expired_at:%Y-%m-%dT%H:%M:%SZ}", hint=hint)
        self.spiffe_id = spiffe_id
        self.expired_at = expired_at
