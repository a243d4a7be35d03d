"""What a verifier tells of the use of tokens, and the buffer that keeps it until it is written down.

Reports have digests and names, never parameters or tokens.
"""

import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Any

from assay.governed.digest import digest

BATCH = 100
"""Reports that go together."""
DELAY = 0.2
"""Seconds that a report waits for others to go with it."""
KEPT = 10_000
"""Reports that are kept for a server that does not take them; of more than that the oldest go."""

_REPORTER_BYTES = 12


class ReportKind(Enum):
    """What a report is of; one call may be all three."""

    TOOL_USE = "tool.use"
    DATA_ACCESS = "data.access"
    PRIVILEGE_ELEVATION = "privilege.elevation"


class Outcome(Enum):
    """How it ended: the tool did it, was not let, or could not."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """One use of a token. `at` is in Unix seconds, `staleness` in seconds; what is not known is empty."""

    kind: ReportKind
    at: int
    jti: str
    task_id: str
    spiffe_id: str
    audience: str
    action: str
    resource: str = ""
    outcome: Outcome = Outcome.ALLOWED
    reason: str = ""
    parameters_digest: str = ""
    data_class: str = ""
    decision_id: str = ""
    staleness: int = 0
    trace_id: str = ""


def parameters_digest(parameters: Any) -> str:  # noqa: ANN401 - any value of JSON
    """What goes into the ledger in place of a call's parameters: `sha-256:` over their canonical JSON (RFC 8785).

    Raises:
        ValueError: JSON cannot say them.
    """
    return digest(parameters)


@dataclass(frozen=True, slots=True)
class Batch:
    """Reports that are numbered from `first` on."""

    first: int
    reports: tuple[Report, ...]

    @property
    def last(self) -> int:
        """The number of the last."""
        return self.first + len(self.reports) - 1


@dataclass(slots=True)
class ReportBuffer:
    """Reports by their numbers, from 1, until they are taken. It may be used from several threads.

    When it is full the oldest goes, and its number with it: whoever writes them down sees the gap.
    """

    limit: int = KEPT
    reporter: str = field(default_factory=lambda: secrets.token_urlsafe(_REPORTER_BYTES))
    """Names this memory: its numbers begin anew with it."""
    added: Callable[[], object] = field(default=lambda: None)
    """Called after each report, from whichever thread it came."""
    _reports: deque[Report] = field(default_factory=deque[Report])
    _first: int = 1
    _sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, report: Report) -> None:
        """Keep it."""
        with self._lock:
            if len(self._reports) >= self.limit:
                self._reports.popleft()
                self._first += 1
            self._reports.append(report)
        self.added()

    def next(self, most: int = BATCH) -> Batch | None:
        """The oldest that were not sent yet, which now are; None if there are none."""
        with self._lock:
            first = max(self._first, self._sent + 1)
            start = first - self._first
            reports = tuple(islice(self._reports, start, start + most))
            if not reports:
                return None
            batch = Batch(first, reports)
            self._sent = batch.last
            return batch

    def taken(self, last: int) -> None:
        """Those up to and with that number are written down."""
        with self._lock:
            # A number that was never sent is nothing that anybody could have taken.
            while self._reports and self._first <= min(last, self._sent):
                self._reports.popleft()
                self._first += 1

    def again(self) -> None:
        """Have those sent anew that were not taken: what they were sent on has broken."""
        with self._lock:
            self._sent = self._first - 1

    @property
    def in_flight(self) -> int:
        """How many were sent and not taken yet."""
        with self._lock:
            return max(0, self._sent - self._first + 1)

    @property
    def kept(self) -> int:
        """How many were not taken yet."""
        with self._lock:
            return len(self._reports)
