"""The trail in a file: its schema, its mode, its rotation."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from assay.errors import FailedPreconditionError
from assay_server.audit.filetrail import FileTrail
from assay_server.audit.record import LocalCaller, Outcome, Record, RemoteCaller

NOW = datetime(2026, 1, 2, 4, tzinfo=timezone(timedelta(hours=1)))
MINT = "/spire.api.server.svid.v1.SVID/MintJWTSVID"
LOCAL = LocalCaller(1000, 100, 7, "/usr/bin/\udcffassay")


def record(
    request_id: str = "r-1",
    caller: LocalCaller | RemoteCaller = LOCAL,
    role: str = "local",
    outcome: Outcome = Outcome(),  # noqa: B008 - frozen
) -> Record:
    return Record(NOW, request_id, MINT, caller, role, {"spiffe_id": "spiffe://t/w", "ttl": 60}, outcome)


def ids(path: Path) -> list[str]:
    return [json.loads(line)["request_id"] for line in path.read_text().splitlines()]


def test_the_schema(tmp_path: Path) -> None:
    trail = FileTrail(tmp_path / "audit")
    trail.write(record())
    trail.write(record(caller=RemoteCaller("192.0.2.1:7", ""), role="", outcome=Outcome("PermissionDenied", "no")))
    trail.write(record(outcome=Outcome("InvalidArgument", "bad\nwords")))
    first, denied, refused = map(json.loads, (tmp_path / "audit").read_text().splitlines())
    assert first == {
        "schema": 1,
        "time": "2026-01-02T03:00:00.000000Z",
        "request_id": "r-1",
        "service": "svid.v1.SVID",
        "method": "MintJWTSVID",
        "caller": {"authorized_as": "local", "uid": 1000, "gid": 100, "pid": 7, "path": "/usr/bin/\udcffassay"},
        "object": {"spiffe_id": "spiffe://t/w", "ttl": 60},
        "status": "success",
        "code": "OK",
        "message": "",
    }
    assert denied["caller"] == {"authorized_as": "", "address": "192.0.2.1:7", "spiffe_id": ""}
    assert (denied["status"], denied["code"], denied["message"]) == ("denied", "PermissionDenied", "no")
    assert (refused["status"], refused["code"], refused["message"]) == ("error", "InvalidArgument", "bad\nwords")
    assert list(first) == list(denied) == list(refused)


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    path.touch(0o644)
    FileTrail(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_one_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    trail = FileTrail(path)
    trail.write(record("before"))
    path.rename(tmp_path / "old")
    trail.write(record("after"))
    path.unlink()
    trail.write(record("last"))
    assert ids(tmp_path / "old") == ["before"]
    assert ids(path) == ["last"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_goes_on_in_a_file_that_is_there(tmp_path: Path) -> None:
    for request_id in ("one", "two"):
        FileTrail(tmp_path / "audit").write(record(request_id))
    assert ids(tmp_path / "audit") == ["one", "two"]


def test_a_file_that_cannot_be_written_is_said_and_stops_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    trail = FileTrail(folder / "audit")
    (folder / "audit").unlink()
    folder.rmdir()
    with capture_logs() as lines:
        trail.write(record("lost"))
    assert [(line["event"], line["request_id"]) for line in lines] == [("Audit log cannot be written", "lost")]


def test_one_that_cannot_be_opened_keeps_the_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path, tmp_path / "no" / "audit", tmp_path / "link"):
        with pytest.raises(FailedPreconditionError, match="audit_log_file"):
            FileTrail(path)
