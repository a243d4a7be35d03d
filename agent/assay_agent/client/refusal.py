"""From gRPC's errors to ours."""

from collections.abc import Generator
from contextlib import contextmanager

from assay.errors import AssayError, PermissionDeniedError, UnavailableError
from assay.rpc.status import EndError, StatusCode
from assay.wire.status import code_of, denial_reason, refusal


class UntrustedServerError(UnavailableError):
    """No authority of the bundle that the agent has vouches for who answers."""


@contextmanager
def refusals() -> Generator[None]:
    """Turn the RPC's failure into the kind of refusal it stands for, with the server's words."""
    try:
        yield
    except EndError as error:
        raise from_rpc(error) from error


def from_rpc(error: EndError) -> AssayError:
    """The refusal that a failed RPC stands for; what is not the request's fault is `unavailable`."""
    if error.code is StatusCode.PERMISSION_DENIED:
        return PermissionDeniedError(error.message or error.code.name, reason=denial_reason(error.trailers))
    return refusal(error.code, error.message)


def from_status(code: int, message: str) -> AssayError:
    """The refusal of one item of a batch."""
    return refusal(code_of(code), message)
