"""Refusals on the wire: codes, and the details agents act on."""

import grpc
import pytest

from assay.errors import DenialReason, Kind, NotFoundError, PermissionDeniedError
from assay.wire.status import CODES, DETAILS_KEY, denial_reason, details_of
from assay_proto.rpc.v1.status_pb2 import Status


def test_every_kind_has_its_code() -> None:
    assert CODES.keys() == set(Kind)
    assert CODES[Kind.PERMISSION_DENIED] == grpc.StatusCode.PERMISSION_DENIED.value[0]


@pytest.mark.parametrize("reason", list(DenialReason))
def test_every_reason_survives_the_wire(reason: DenialReason) -> None:
    raw = details_of(PermissionDeniedError("no", reason=reason))
    assert raw is not None
    assert denial_reason([("other", "x"), (DETAILS_KEY, raw)]) is reason


def test_the_details_are_what_grpc_libraries_read() -> None:
    raw = details_of(PermissionDeniedError("agent is banned", reason=DenialReason.AGENT_BANNED, hint="do not tell"))
    assert raw == (
        b"\x08\x07\x12\x0fagent is banned\x1aA"
        b"\n;type.googleapis.com/spire.api.types.PermissionDeniedDetails\x12\x02\x08\x04"
    )


def test_a_refusal_without_a_reason_has_no_details() -> None:
    assert details_of(PermissionDeniedError("no")) is None
    assert details_of(NotFoundError("no")) is None


@pytest.mark.parametrize("raw", [b"", b"\xff\xff", "\x08\x07", Status(code=7).SerializeToString()])
def test_what_is_no_reason_is_none(raw: bytes | str) -> None:
    assert denial_reason([(DETAILS_KEY, raw)]) is None


def test_a_reason_of_a_later_version_is_none() -> None:
    status = Status(code=7)
    detail = status.details.add()
    detail.type_url = "type.googleapis.com/spire.api.types.PermissionDeniedDetails"
    detail.value = b"\x08\x63"
    assert denial_reason([(DETAILS_KEY, status.SerializeToString())]) is None
