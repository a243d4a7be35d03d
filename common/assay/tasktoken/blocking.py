"""`PushedStatus` for programs without an event loop: the same behaviour, plain calls.

with PushedStatus() as status:
verifier = TaskTokenVerifier(bundles, issuer, audience, status, trust_domain="example.org")
"""

import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from assay.clock import Clock
from assay.errors import AssayError
from assay.standing import Question, Standing
from assay.tasktoken import status
from assay.tasktoken.following import WITHIN
from assay.tasktoken.report import Report, ReportBuffer
from assay.workloadapi.address import Endpoint
from assay.workloadapi.blocking.background import Background
from assay.workloadapi.errors import SourceClosedError

__all__ = ["PushedStatus"]


class PushedStatus:
    """As `assay.tasktoken.status.PushedStatus`, as a context manager with a thread of its own.

    It may be asked from any thread. In a child that was forked while it was open nothing is known.
    """

    def __init__(
        self,
        endpoint: Endpoint | Path | str | None = None,
        *,
        within: float | None = WITHIN,
        reports: ReportBuffer | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._inner = status.PushedStatus(endpoint, within=within, reports=reports, clock=clock)
        self._background = Background()
        self._finalizer = weakref.finalize(self, self._background.stop)

    def __enter__(self) -> Self:
        self._background.start()
        try:
            self._background.run(self._inner.open)
        except BaseException:
            self._finalizer()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Have reports taken, end the stream and the thread. May be called again."""
        if self._background.forked:
            return
        with suppress(SourceClosedError):
            self._background.run(self._inner.close)
        self._finalizer()

    def standing(self, question: Question, /) -> Standing:
        """What is known now."""
        return Standing() if self._background.forked else self._inner.standing(question)

    def report(self, report: Report) -> None:
        """Have that written down, soon."""
        self._background.check_process()
        self._inner.report(report)

    @property
    def age(self) -> float:
        """Seconds since what is held was the whole truth; infinity before it ever was."""
        return self._inner.age

    @property
    def error(self) -> AssayError | None:
        """Why the stream was lost, or could not be had; None while it stands."""
        return self._inner.error
