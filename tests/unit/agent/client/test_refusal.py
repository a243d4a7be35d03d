import grpc
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
from assay.wire.status import DETAILS_KEY, details_of
from assay_agent.client.refusal import from_rpc, from_status, refusals


def failed(code: grpc.StatusCode, message: str = "words", trailers: bytes | None = None) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata() if trailers is None else grpc.aio.Metadata((DETAILS_KEY, trailers))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, message)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgumentError),
        (grpc.StatusCode.NOT_FOUND, NotFoundError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ResourceExhaustedError),
        (grpc.StatusCode.UNIMPLEMENTED, UnimplementedError),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDeniedError),
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, UnavailableError),
        (grpc.StatusCode.INTERNAL, UnavailableError),
        (grpc.StatusCode.UNKNOWN, UnavailableError),
    ],
)
def test_each_code_is_a_kind_of_ours(code: grpc.StatusCode, kind: type[AssayError]) -> None:
    error = from_rpc(failed(code))
    assert type(error) is kind
    assert error.message == "words"
    assert type(from_status(code.value[0], "words")) is kind


@pytest.mark.parametrize("reason", list(DenialReason))
def test_a_denial_keeps_its_reason(reason: DenialReason) -> None:
    details = details_of(PermissionDeniedError("no", reason=reason))
    error = from_rpc(failed(grpc.StatusCode.PERMISSION_DENIED, "no", details))
    assert isinstance(error, PermissionDeniedError)
    assert error.reason is reason


@pytest.mark.parametrize("trailers", [None, b"", b"\xff\xff"])
def test_a_denial_without_understandable_details_has_no_reason(trailers: bytes | None) -> None:
    error = from_rpc(failed(grpc.StatusCode.PERMISSION_DENIED, "no", trailers))
    assert isinstance(error, PermissionDeniedError)
    assert error.reason is None


def test_an_unknown_code_is_no_fault_of_the_request() -> None:
    assert type(from_status(99, "")) is UnavailableError


def test_only_rpc_failures_are_turned() -> None:
    with pytest.raises(UnavailableError), refusals():
        raise failed(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(KeyError), refusals():
        raise KeyError
