"""SPIRE's audit lines, rendered as the log renders them."""

import json
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from assay.logline import render_json, render_text
from assay.spiffeid import SpiffeId
from assay_server.audit.logtrail import LogTrail
from assay_server.audit.record import LocalCaller, Outcome, Record, RemoteCaller

ADMIN = "spiffe://example.org/admin"
LOCAL = LocalCaller(1000, 100, 7, "/usr/bin/assay")
ENTRIES = "/spire.api.server.entry.v1.Entry/"


def record(
    caller: LocalCaller | RemoteCaller = LOCAL,
    role: str = "local",
    outcome: Outcome = Outcome(),  # noqa: B008 - frozen
    method: str = f"{ENTRIES}BatchDeleteEntry",
) -> Record:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return Record(now, "r-1", method, caller, role, {"entry_id": "e-1"}, outcome)


def written(*records: Record) -> list[dict[str, object]]:
    trail = LogTrail(lambda: [SpiffeId.parse(ADMIN)])
    with capture_logs() as lines:
        for one in records:
            trail.write(one)
    return [dict(line) for line in lines]


def test_what_a_local_caller_did() -> None:
    assert written(record()) == [
        {
            "event": "API accessed", "log_level": "info", "subsystem_name": "api", "type": "audit",
            "service": "entry.v1.Entry", "method": "BatchDeleteEntry", "request_id": "r-1", "entry_id": "e-1",
            "authorized_as": "local", "authorized_via": "transport",
            "caller_uid": 1000, "caller_gid": 100, "caller_path": "/usr/bin/assay", "status": "success",
        }
    ]  # fmt: skip


def test_what_was_refused() -> None:
    (line,) = written(record(outcome=Outcome("NotFound", "entry not found")))
    assert (line["status"], line["status_code"], line["status_message"]) == ("error", 5, "entry not found")
    # As logrus prints a status of Go's: by name in text, by number in JSON.
    shown = {"time": "", "level": "info", "msg": "", "status_code": line["status_code"]}
    assert render_text(shown).endswith(" status_code=NotFound")
    assert json.loads(render_json(shown))["status_code"] == 5


def test_administrators_are_those_of_the_moment() -> None:
    admins: list[SpiffeId] = []
    trail = LogTrail(lambda: admins)
    with capture_logs() as lines:
        trail.write(record(RemoteCaller("192.0.2.1:7", ADMIN), "admin"))
        admins.append(SpiffeId.parse(ADMIN))
        trail.write(record(RemoteCaller("192.0.2.1:7", ADMIN), "admin"))
    assert [line["authorized_via"] for line in lines] == ["entries", "config"]


@pytest.mark.parametrize(
    ("spiffe_id", "role", "via"),
    [
        (ADMIN, "admin", "config"),
        ("spiffe://example.org/other", "admin", "entries"),
        ("spiffe://example.org/spire/agent/one", "agent", "datastore"),
        ("spiffe://example.org/down", "downstream", "entries"),
        ("", "nobody", ""),
    ],
)
def test_who_called_over_tls(spiffe_id: str, role: str, via: str) -> None:
    (line,) = written(record(RemoteCaller("192.0.2.1:7", spiffe_id), role))
    assert (line["authorized_as"], line["authorized_via"], line["caller_addr"]) == (role, via, "192.0.2.1:7")
    assert line.get("caller_id", "") == spiffe_id
    assert "caller_uid" not in line


def test_a_program_that_cannot_be_seen_has_no_path() -> None:
    (line,) = written(record(LocalCaller(0, 0, 1, "")))
    assert "caller_path" not in line


def test_what_spire_says_nothing_of() -> None:
    debug = "/spire.api.server.debug.v1.Debug/GetInfo"
    assert written(record(role=""), record(method=debug)) == []
    assert len(written(record(method=debug, outcome=Outcome("Internal", "x")))) == 1
