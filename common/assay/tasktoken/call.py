"""A call that is made with a task token: what the application knows of it, and what it tells of it."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from assay.clock import Clock
from assay.svid.refusal import RefusedError
from assay.tasktoken.report import Outcome, Report, ReportKind, parameters_digest
from assay.tasktoken.token import TaskToken

_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_MAX_REASON = 200


class Reporter(Protocol):
    """Who has reports written down, such as a `PushedStatus`."""

    def report(self, report: Report, /) -> None:
        """Keep it until it is. Never blocks and never fails."""
        ...


class Learning(Protocol):
    """A source of status that has to ask for what a token refers to, such as a `StatusListSource`."""

    async def learn(self, token: TaskToken, /) -> None:
        """Return when it knows, or knows that it cannot."""
        ...


@dataclass(slots=True)
class TaskCall:
    """One call, its token, and its reports.

    Attributes:
        token: what was verified.
        parameters: of the call, as JSON has them; the report of its use has their digest alone. Set by the application.
        resource: what it acts on, more exactly than the audience says. Set by the application.
        trace_id: of the caller's trace (W3C trace context), empty without one.
    """

    token: TaskToken
    reporter: Reporter | None
    clock: Clock
    trace_id: str = ""
    parameters: Any = None
    resource: str = ""
    _told: bool = field(default=False, repr=False)

    def data_access(self, data_class: str, resource: str = "", *, reason: str = "") -> None:
        """Tell that data of that class was read or written."""
        self._report(ReportKind.DATA_ACCESS, Outcome.ALLOWED, reason, resource=resource, data_class=data_class)

    def privilege_elevation(self, resource: str = "", *, reason: str = "") -> None:
        """Tell that more was done than the caller may by itself."""
        self._report(ReportKind.PRIVILEGE_ELEVATION, Outcome.ALLOWED, reason, resource=resource)

    def tool_use(self, outcome: Outcome = Outcome.ALLOWED, *, reason: str = "") -> None:
        """Tell how the call ended. Middlewares do so where the application has not; once is enough."""
        if not self._told:
            self._told = True
            self._report(ReportKind.TOOL_USE, outcome, reason)

    def _report(
        self, kind: ReportKind, outcome: Outcome, reason: str, *, resource: str = "", data_class: str = ""
    ) -> None:
        if self.reporter is None:
            return
        token, now = self.token, int(self.clock.now().timestamp())
        self.reporter.report(
            Report(
                kind=kind,
                at=now,
                jti=token.jti,
                task_id=token.task_id,
                spiffe_id=str(token.instance),
                audience=token.audience,
                action=token.action,
                resource=resource or self.resource,
                outcome=outcome,
                reason=reason[:_MAX_REASON],
                parameters_digest=self._digest(),
                data_class=data_class,
                decision_id=token.decision_id,
                staleness=token.staleness,
                trace_id=self.trace_id,
            )
        )

    def _digest(self) -> str:
        if self.parameters is None:
            return ""
        try:
            return parameters_digest(self.parameters)
        except ValueError:
            # They are told by no digest: that they could not be is no reason to lose the report.
            return ""


def refused_call(
    found: TaskToken, action: str, refusal: RefusedError, reporter: Reporter | None, clock: Clock, trace_id: str
) -> None:
    """Tell of a token that is the issuer's, and was not taken. Of others nothing is told: anybody could make them."""
    call = TaskCall(replace(found, action=action), reporter, clock, trace_id)
    call.tool_use(Outcome.REFUSED, reason=refusal.reason.value)


def trace_id_of(traceparent: str) -> str:
    """The trace's ID in the header `traceparent` (W3C trace context, section 3.2); empty where it has none."""
    found = _TRACE.fullmatch(traceparent)
    return found[1] if found is not None and found[1].strip("0") else ""
