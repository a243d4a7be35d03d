"""Refusals on the wire: which gRPC code each kind is, and the details that tell an agent how to recover.

The details are google.rpc.Status in the trailer `grpc-status-details-bin`, as every gRPC library reads them.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from google.protobuf.message import DecodeError

from assay.errors import (
    AlreadyExistsError,
    AssayError,
    DenialReason,
    FailedPreconditionError,
    InvalidArgumentError,
    Kind,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from assay.rpc.status import StatusCode
from assay_proto.rpc.v1.status_pb2 import Status
from assay_proto.spire.api.types.status_pb2 import PermissionDeniedDetails

DETAILS_KEY = "grpc-status-details-bin"

HINTS_KEY = "assay-hints"
"""Metadata by which a caller asks for hints behind the messages of refusals. SPIRE's clients match whole messages."""

WITH_HINTS = ((HINTS_KEY, "1"),)

CODES: Mapping[Kind, StatusCode] = MappingProxyType({kind: StatusCode[kind.name] for kind in Kind})

_REFUSALS: tuple[type[AssayError], ...] = (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
ERRORS: Mapping[StatusCode, type[AssayError]] = MappingProxyType({CODES[one.kind]: one for one in _REFUSALS})


def code_of(number: int) -> StatusCode:
    """The code of that number on the wire; UNKNOWN for one that gRPC does not have."""
    try:
        return StatusCode(number)
    except ValueError:
        return StatusCode.UNKNOWN


def refusal(code: StatusCode, message: str) -> AssayError:
    """The refusal that a code stands for; what is not the request's fault is `unavailable`."""
    return ERRORS.get(code, UnavailableError)(message or code.name)


def details_of(error: AssayError) -> bytes | None:
    """The trailer that goes with the refusal; None when its code and message say all."""
    if not isinstance(error, PermissionDeniedError) or error.reason is None:
        return None
    status = Status(code=CODES[error.kind], message=error.message)
    status.details.add().Pack(PermissionDeniedDetails(reason=PermissionDeniedDetails.Reason.Value(error.reason.name)))
    return status.SerializeToString()


def denial_reason(trailers: Iterable[tuple[str, str | bytes]]) -> DenialReason | None:
    """Why the server refused an agent; None when it did not say, or in words we do not know."""
    raw = next((value for key, value in trailers if key == DETAILS_KEY), b"")
    try:
        status = Status.FromString(raw if isinstance(raw, bytes) else raw.encode())
        return _reason(status)
    except (DecodeError, ValueError):
        return None


def _reason(status: Status) -> DenialReason | None:
    details = PermissionDeniedDetails()
    for item in status.details:
        if item.Unpack(details):
            return DenialReason(details.reason)
    return None
