import pytest

from assay.errors import (
    AssayError,
    DenialReason,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
    UnimplementedError,
)
from assay.rpc.status import EndError, StatusCode
from assay.wire.status import DETAILS_KEY, details_of
from assay_agent.client.refusal import from_rpc, from_status, refusals


def failed(code: StatusCode, message: str = "words", trailers: bytes | None = None) -> EndError:
    return EndError(code, message, () if trailers is None else ((DETAILS_KEY, trailers),))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (StatusCode.INVALID_ARGUMENT, InvalidArgumentError),
        (StatusCode.NOT_FOUND, NotFoundError),
        (StatusCode.RESOURCE_EXHAUSTED, ResourceExhaustedError),
        (StatusCode.UNIMPLEMENTED, UnimplementedError),
        (StatusCode.PERMISSION_DENIED, PermissionDeniedError),
        (StatusCode.UNAVAILABLE, UnavailableError),
        (StatusCode.DEADLINE_EXCEEDED, UnavailableError),
        (StatusCode.INTERNAL, UnavailableError),
        (StatusCode.UNKNOWN, UnavailableError),
    ],
)
def test_each_code_is_a_kind_of_ours(code: StatusCode, kind: type[AssayError]) -> None:
    error = from_rpc(failed(code))
    assert type(error) is kind
    assert error.message == "words"
    assert type(from_status(code, "words")) is kind


@pytest.mark.parametrize("reason", list(DenialReason))
def test_a_denial_keeps_its_reason(reason: DenialReason) -> None:
    details = details_of(PermissionDeniedError("no", reason=reason))
    error = from_rpc(failed(StatusCode.PERMISSION_DENIED, "no", details))
    assert isinstance(error, PermissionDeniedError)
    assert error.reason is reason


@pytest.mark.parametrize("trailers", [None, b"", b"\xff\xff"])
def test_a_denial_without_understandable_details_has_no_reason(trailers: bytes | None) -> None:
    error = from_rpc(failed(StatusCode.PERMISSION_DENIED, "no", trailers))
    assert isinstance(error, PermissionDeniedError)
    assert error.reason is None


def test_an_unknown_code_is_no_fault_of_the_request() -> None:
    assert type(from_status(99, "")) is UnavailableError


def test_only_rpc_failures_are_turned() -> None:
    with pytest.raises(UnavailableError), refusals():
        raise failed(StatusCode.UNAVAILABLE)
    with pytest.raises(KeyError), refusals():
        raise KeyError
