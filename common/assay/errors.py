"""What can be refused, as a few kinds; each edge (gRPC, command line) maps the kind once.

A refusal carries a message that says what was wrong and, where something can be done, a `hint` that says what to
do next. Hints are for operators: they go to logs and the admin socket, never to unauthenticated callers.
"""

from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum


class Kind(Enum):
    """The kinds of refusal; names and meanings are gRPC's."""

    INVALID_ARGUMENT = "invalid_argument"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    PERMISSION_DENIED = "permission_denied"
    UNAUTHENTICATED = "unauthenticated"
    FAILED_PRECONDITION = "failed_precondition"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    UNAVAILABLE = "unavailable"
    UNIMPLEMENTED = "unimplemented"


class DenialReason(Enum):
    """Why an agent is refused; values are those of spire.api.types.PermissionDeniedDetails."""

    AGENT_EXPIRED = 1
    AGENT_NOT_ATTESTED = 2
    AGENT_NOT_ACTIVE = 3
    AGENT_BANNED = 4
    AGENT_MUST_REATTEST = 5


class AssayError(Exception):
    """A refusal with a kind, a message and perhaps a hint. Anything else that is raised is an internal error."""

    kind: Kind = Kind.INVALID_ARGUMENT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InvalidArgumentError(AssayError):
    """The request itself is wrong, whatever the state."""


class NotFoundError(AssayError):
    """What the request names does not exist."""

    kind = Kind.NOT_FOUND


class AlreadyExistsError(AssayError):
    """What the request would create exists."""

    kind = Kind.ALREADY_EXISTS


class PermissionDeniedError(AssayError):
    """The caller is known and may not; `reason` tells an agent how to recover."""

    kind = Kind.PERMISSION_DENIED

    def __init__(self, message: str, *, reason: DenialReason | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class UnauthenticatedError(AssayError):
    """The caller is not known."""

    kind = Kind.UNAUTHENTICATED


class FailedPreconditionError(AssayError):
    """The request is right and the state does not allow it."""

    kind = Kind.FAILED_PRECONDITION


class ResourceExhaustedError(AssayError):
    """A limit is reached."""

    kind = Kind.RESOURCE_EXHAUSTED


class UnavailableError(AssayError):
    """Cannot be answered now; the same request may succeed later."""

    kind = Kind.UNAVAILABLE


class UnimplementedError(AssayError):
    """Not built, or switched off."""

    kind = Kind.UNIMPLEMENTED


@contextmanager
def prefixed(what: str) -> Generator[None]:
    """Put `what` and a colon before the message of an InvalidArgumentError that is raised within; its hint stays."""
    try:
        yield
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{what}: {error.message}", hint=error.hint) from None
