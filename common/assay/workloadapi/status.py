"""How a source stands with its agent, as data: one snapshot that readers in any thread may take."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from assay.errors import AssayError

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Status(Generic[V]):
    """What a source last heard.

    Attributes:
        value: the last good update; None before the first, and once the agent has withdrawn everything.
        version: grows by one with every change of `value`; 0 before the first.
        updated_at: when the last good message came, whether it changed anything or not.
        stale_since: since when `value` may be out of date, because no stream stands or a message was dropped. None
            while it is current, and before the first message.
        error: why the last attempt failed, or why the last message was dropped; None once a good message came after.
        failures: attempts in a row that failed.
        stopped: whether the source has given up: the agent said what no repetition can change (INVALID_ARGUMENT,
            UNIMPLEMENTED).
    """

    value: V | None = None
    version: int = 0
    updated_at: datetime | None = None
    stale_since: datetime | None = None
    error: AssayError | None = None
    failures: int = 0
    stopped: bool = False

    def updated(self, value: V, now: datetime) -> "Status[V]":
        """After a good message; an equal one is no change."""
        current = replace(self, updated_at=now, stale_since=None, error=None)
        if value == self.value:
            return current
        return replace(current, value=value, version=self.version + 1)

    def dropped(self, error: AssayError, now: datetime) -> "Status[V]":
        """After a message that was refused whole; the last good one is kept."""
        return replace(self, error=error, stale_since=self._stale_since(now))

    def lost(self, error: AssayError, now: datetime, *, failures: int, stopped: bool) -> "Status[V]":
        """After the end of a stream, or an attempt to open one."""
        return replace(self, error=error, stale_since=self._stale_since(now), failures=failures, stopped=stopped)

    def steady(self) -> "Status[V]":
        """After a stream that stood long enough: what fails now is the first in its row."""
        return replace(self, failures=0)

    def withdrawn(self) -> "Status[V]":
        """After the agent said that nothing is this workload's any more."""
        if self.value is None:
            return self
        return replace(self, value=None, version=self.version + 1)

    def _stale_since(self, now: datetime) -> datetime | None:
        return self.stale_since or (now if self.updated_at else None)
