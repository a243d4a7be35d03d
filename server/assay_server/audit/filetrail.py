"""The trail in a file of its own, a line of JSON for each record (docs/audit.md has the schema)."""

import json
import os
from datetime import UTC
from pathlib import Path

import structlog

from assay.errors import FailedPreconditionError
from assay.telemetry.names import method_name, service_name
from assay_server.audit.record import LocalCaller, Record

log = structlog.get_logger(__name__)

SCHEMA = 1
_MODE = 0o600
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class FileTrail:
    """Appends to the file, which only its owner may read; one that was moved away is made anew with the next line.

    Raises:
        FailedPreconditionError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = _opened(path)
        except OSError as error:
            raise FailedPreconditionError(
                f"audit log {path} cannot be opened: {error.strerror}", hint="set audit_log_file to a file we may write"
            ) from None

    def write(self, record: Record) -> None:
        """Write one line, whole or not at all as far as the file system allows."""
        try:
            if not self._in_place():
                self._reopen()
            os.write(self._file, line(record))
        except OSError as error:
            # What was called is done by now: to refuse the answer would hide that too.
            log.error("Audit log cannot be written", error=str(error), request_id=record.request_id)  # noqa: TRY400

    def _in_place(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        fresh = _opened(self._path)
        os.close(self._file)
        self._file = fresh


def line(record: Record) -> bytes:
    """A record as JSON, with its end of line."""
    fields = {
        "schema": SCHEMA,
        "time": record.time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "request_id": record.request_id,
        "service": service_name(record.method),
        "method": method_name(record.method),
        "caller": _caller(record),
        "object": dict(record.object),
        "status": "success" if record.outcome.ok else "error" if record.authorized_as else "denied",
        "code": record.outcome.code,
        "message": record.outcome.message,
    }
    # A path that is not UTF-8 comes as lone surrogates, which JSON can escape and no encoding can write.
    return (json.dumps(fields, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def _caller(record: Record) -> dict[str, str | int]:
    caller = record.caller
    if isinstance(caller, LocalCaller):
        who: dict[str, str | int] = {"uid": caller.uid, "gid": caller.gid, "pid": caller.pid, "path": caller.path}
    else:
        who = {"address": caller.address, "spiffe_id": caller.spiffe_id}
    return {"authorized_as": record.authorized_as, **who}


def _opened(path: Path) -> int:
    file = os.open(path, _FLAGS, _MODE)
    os.fchmod(file, _MODE)
    return file
