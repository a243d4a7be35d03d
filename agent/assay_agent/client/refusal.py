"""From gRPC's errors to ours."""

from collections.abc import Generator
from contextlib import contextmanager

import grpc

from assay.errors import (
    AlreadyExistsError,
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from assay.wire.status import denial_reason, number

_KINDS: dict[grpc.StatusCode, type[AssayError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.UNIMPLEMENTED: UnimplementedError,
}
_BY_NUMBER = {number(code): code for code in grpc.StatusCode}


@contextmanager
def refusals() -> Generator[None]:
    """Turn the RPC's failure into the kind of refusal it stands for, with the server's words."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from error


def from_rpc(error: grpc.aio.AioRpcError) -> AssayError:
    """The refusal that a failed RPC stands for; what is not the request's fault is `unavailable`."""
    code, message = error.code(), error.details() or error.code().name
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return PermissionDeniedError(message, reason=denial_reason(error.trailing_metadata() or ()))
    return _of_kind(code, message)


def from_status(code: int, message: str) -> AssayError:
    """The refusal of one item of a batch."""
    known = _BY_NUMBER.get(code, grpc.StatusCode.UNKNOWN)
    if known is grpc.StatusCode.PERMISSION_DENIED:
        return PermissionDeniedError(message)
    return _of_kind(known, message)


def _of_kind(code: grpc.StatusCode, message: str) -> AssayError:
    return _KINDS.get(code, UnavailableError)(message)
