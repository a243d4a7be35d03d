"""The log of a daemon: SPIRE's lines, so that what operators grep for is there, or the same fields as JSON.

Text is logrus's: `time="..." level=info msg="..." key=value`, keys sorted, values quoted when they need it.
"""

import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import structlog
from structlog.processors import CallsiteParameter, CallsiteParameterAdder

from assay.clock import Clock
from assay.config.logging import LogSettings
from assay.loglevel import LiveLevel
from assay.logline import as_go, render_json, render_text, rfc3339

REDACTED = "(redacted)"

# SPIRE's subsystem names where ours differ; the others are the package's name, and daemons' top modules have none.
_SUBSYSTEMS = {
    "admin": "", "app": "", "attestation": "attestor", "ca": "ca_manager", "cache": "cache_manager", "cli": "",
    "reload": "reconfigurer", "sync": "manager",
    "wire": "api", "workload": "endpoints",
}  # fmt: skip
_SECRET_KEYS = frozenset({"join_token", "jwt_svid", "password", "private_key", "secret", "token"})
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",
    re.DOTALL,
)
_LEVEL_NAMES = {"critical": "fatal", "exception": "error", "warn": "warning"}

Event: TypeAlias = MutableMapping[str, Any]
Renderer: TypeAlias = Callable[[Mapping[str, object]], str]


class LogOutput:
    """Where lines go: standard output, or a file that can be opened anew after it was moved away.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO = sys.stdout if path is None else _append(path)

    def write(self, line: str) -> None:
        """Write one line at once; a reader that went away is no reason to end a daemon."""
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except (OSError, ValueError):
            return

    def reopen(self) -> None:
        """Go on in a new file under the same name; when that fails the old one stays in use."""
        if self._path is not None:
            fresh = _append(self._path)
            self._file.close()
            self._file = fresh


class _Logger:
    """What structlog wraps: knows who logs, takes finished lines."""

    def __init__(self, output: LogOutput, name: str = "") -> None:
        self.subsystem = subsystem_of(name)
        self.msg = self.debug = self.info = self.warning = self.error = self.critical = output.write


class _Handler(logging.Handler):
    """Libraries' own logging, in the same lines; ours adds what else there is to say as `extra={"fields": ...}`."""

    def __init__(self, output: LogOutput, render: Renderer, clock: Clock) -> None:
        super().__init__()
        self._output = output
        self._render = render
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; never raises."""
        event: Event = {"event": record.getMessage(), "logger": record.name, **getattr(record, "fields", {})}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        self._output.write(self._render(_fields(event, record.levelname.lower(), self._clock.now())))


@dataclass(frozen=True, slots=True)
class Log:
    """The log of this process: where its lines go, and from which level on."""

    output: LogOutput
    level: LiveLevel


def configure(settings: LogSettings, clock: Clock) -> Log:
    """Set up structlog and the standard library's logging for this process.

    Raises:
        OSError: the log file cannot be opened.
    """
    output = LogOutput(settings.file)
    render = render_json if settings.format == "json" else render_text

    def finish(logger: _Logger, method: str, event: Event) -> str:
        if logger.subsystem:
            event.setdefault("subsystem_name", logger.subsystem)
        return render(_fields(event, method, clock.now()))

    handler = _Handler(output, render, clock)
    # What of ours users' programs have too logs the standard library's way, and here as much as the rest.
    level = LiveLevel(settings.level, handler, logging.getLogger("assay"))
    processors: list[Any] = [finish]
    if settings.source_location:
        wanted = {CallsiteParameter.FILENAME, CallsiteParameter.LINENO, CallsiteParameter.FUNC_NAME}
        processors.insert(0, CallsiteParameterAdder(wanted))
    structlog.configure(
        processors=processors,
        wrapper_class=level.logger_class,
        logger_factory=lambda *names: _Logger(output, *names[:1]),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    return Log(output, level)


def subsystem_of(module: str) -> str:
    """SPIRE's `subsystem_name` for a module of ours, such as `assay_server.ca.manager`; empty for none."""
    part = [*module.split("."), ""][1]
    return _SUBSYSTEMS.get(part, part)


def _fields(event: Event, method: str, now: datetime) -> dict[str, object]:
    fields: dict[str, object] = {key: _safe(key, value) for key, value in event.items() if not key.startswith("_")}
    fields["msg"] = fields.pop("event", "")
    fields["level"] = _LEVEL_NAMES.get(method, method)
    fields["time"] = rfc3339(now)
    _put_location(fields)
    _put_error(fields, event.get("exc_info"))
    return fields


def _put_location(fields: dict[str, object]) -> None:
    if "lineno" in fields:
        fields["file"] = f"{fields.pop('filename', '')}:{fields.pop('lineno')}"
        fields["func"] = fields.pop("func_name", "")


def _put_error(fields: dict[str, object], given: object) -> None:
    """An exception becomes `error`, as SPIRE has it, and `stack`."""
    if fields.pop("exc_info", None) is None or not given:
        return
    error = given if isinstance(given, BaseException) else sys.exception()
    if isinstance(given, tuple) and isinstance(given[1], BaseException):  # pyright: ignore[reportUnknownArgumentType]
        error = given[1]
    if error is not None:
        fields.setdefault("error", _safe("error", str(error) or type(error).__name__))
        fields["stack"] = _safe("stack", "".join(traceback.format_exception(error)))


def _safe(key: str, value: object) -> object:
    if key in _SECRET_KEYS and value not in (None, "", True, False):
        return REDACTED
    if isinstance(value, (bytes, bytearray)):
        return f"({len(value)} bytes)"
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = as_go(value)
    return _SECRET.sub(REDACTED, text) if "eyJ" in text or "PRIVATE KEY" in text else text


def _append(path: Path) -> TextIO:
    return path.open("a", encoding="utf-8")
