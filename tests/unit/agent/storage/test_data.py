import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError
from assay_agent.storage.data import AgentData, decode, encode

GOLDEN = (Path(__file__).parent / "spire-agent-data.json").read_bytes()


def test_a_spire_agents_file_is_written_back_byte_for_byte() -> None:
    assert encode(decode(GOLDEN)) == GOLDEN


def test_a_spire_agents_file_is_understood() -> None:
    data = decode(GOLDEN)
    assert (len(data.svid), len(data.bundle)) == (1, 1)
    assert data.reattestable
    assert data.bootstrap_use == 2


def test_absent_certificates_are_null_as_go_writes_them() -> None:
    document = json.loads(encode(AgentData()))
    assert document == {
        "svid": None,
        "bundle": None,
        "reattestable": False,
        "bootstrap_use": 0,
        "bootstrap_start_time": "0001-01-01T00:00:00Z",
        "connection_attempts": 0,
    }


def test_missing_and_unknown_members_are_no_damage() -> None:
    assert decode(b'{"svid": null, "something_new": 1}') == AgentData()


def test_bootstrap_fields_survive() -> None:
    data = replace(AgentData(), bootstrap_start_time="2026-11-22T06:26:28.123456789Z", connection_attempts=3)
    assert decode(encode(data)) == data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        GOLDEN[: len(GOLDEN) // 2],
        b"[" * 100_000,
        b'{"svid": "text"}',
        b'{"svid": [1]}',
        b'{"svid": ["%%%"]}',
        json.dumps({"bundle": [base64.b64encode(b"no PEM").decode()]}).encode(),
        json.dumps(
            {"svid": [base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").decode()]}
        ).encode(),
        b'{"reattestable": "yes"}',
        b'{"connection_attempts": null}',
    ],
)
def test_damage_is_refused(content: bytes) -> None:
    with pytest.raises(FailedPreconditionError, match="failed to unmarshal data"):
        decode(content)
