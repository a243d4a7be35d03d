"""The level of the log: as it is now, and as it was at launch. A change reaches every logger with its next line."""

import logging
from types import MappingProxyType

import structlog

from assay.config.logging import LogLevel

# SPIRE's panic and fatal lines are those of a process that ends; trace is what debug is here.
_THRESHOLDS = MappingProxyType[LogLevel, int]({
    "panic": logging.CRITICAL, "fatal": logging.CRITICAL, "error": logging.ERROR, "warning": logging.WARNING,
    "info": logging.INFO, "debug": logging.DEBUG, "trace": logging.DEBUG,
})  # fmt: skip


class _Logger(structlog.BoundLoggerBase):
    """structlog's logger of one fixed level has what is below it as methods that do nothing; these are exchanged."""


class LiveLevel:
    """Filters the log of this process, and with it these of the standard library's.

    Loggers keep the class they began with, so that a line that is filtered costs one call: the class changes, not they.
    """

    def __init__(self, launch: LogLevel, *standard: logging.Handler | logging.Logger) -> None:
        self.launch: LogLevel = launch
        self.logger_class = type("LiveLogger", (_Logger,), {})
        self._standard = standard
        self._current: LogLevel = launch
        self.set(launch)

    @property
    def current(self) -> LogLevel:
        """The level now."""
        return self._current

    def set(self, level: LogLevel) -> None:
        """Log by that level from now on."""
        threshold = _THRESHOLDS[level]
        for name, method in vars(structlog.make_filtering_bound_logger(threshold)).items():
            if not name.startswith("__"):
                setattr(self.logger_class, name, method)
        for one in self._standard:
            one.setLevel(threshold)
        self._current = level

    def reset(self) -> None:
        """Log by the level of the launch."""
        self.set(self.launch)
