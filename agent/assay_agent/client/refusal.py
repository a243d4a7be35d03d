"""From gRPC's errors to ours."""

from collections.abc import Generator
from contextlib import contextmanager

import grpc

from assay.errors import AssayError, PermissionDeniedError
from assay.wire.status import code_of, denial_reason, refusal


@contextmanager
def refusals() -> Generator[None]:
    """Turn the RPC's failure into the kind of refusal it stands for, with the server's words."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from error


def from_rpc(error: grpc.aio.AioRpcError) -> AssayError:
    """The refusal that a failed RPC stands for; what is not the request's fault is `unavailable`."""
    if error.code() is grpc.StatusCode.PERMISSION_DENIED:
        reason = denial_reason(error.trailing_metadata() or ())
        return PermissionDeniedError(error.details() or error.code().name, reason=reason)
    return refusal(error.code(), error.details() or "")


def from_status(code: int, message: str) -> AssayError:
    """The refusal of one item of a batch."""
    return refusal(code_of(code), message)
