"""How a daemon logs, as its configuration says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["panic", "fatal", "error", "warning", "info", "debug", "trace"]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Level, shape and place of the log; no file means standard output."""

    level: LogLevel = "info"
    format: LogFormat = "text"
    file: Path | None = None
    source_location: bool = False
