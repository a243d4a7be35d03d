"""What a report becomes in the ledger: an event of its kind, or an exception that says what is wrong with it. Pure.

A verifier is attested, and may err or lie all the same: what it says is held against the record of the token. What is
not as it has to be is named and never copied, since it may be a parameter or a token.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.report import Report
from assay_server.model.governed.task import Credential

SKEW = 60
"""Seconds by which clocks may differ."""

MOST = 2**53 - 1
"""The greatest number that JSON says everywhere alike."""

_KINDS = {one.value: one for one in (EventType.TOOL_USE, EventType.DATA_ACCESS, EventType.PRIVILEGE_ELEVATION)}
_OUTCOMES = {"allowed", "refused", "failed"}
_LENGTHS: Mapping[str, int] = MappingProxyType(
    {
        "kind": 64,
        "jti": 128,
        "task_id": 128,
        "spiffe_id": 2048,
        "audience": 512,
        "action": 512,
        "resource": 512,
        "outcome": 16,
        "reason": 512,
        "parameters_digest": 64,
        "data_class": 128,
        "decision_id": 128,
        "trace_id": 32,
    }
)
_FORMS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "parameters_digest": re.compile(r"(sha-256:[A-Za-z0-9_-]{43})?"),
        "trace_id": re.compile(r"([0-9a-f]{32})?"),
    }
)
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.")


@dataclass(frozen=True, slots=True)
class Known:
    """What is registered of a report: the token's record, its principal's actor type, the task if there is one."""

    credential: Credential | None
    actor_type: str = ""
    task_id: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who reports, in which memory of its, and under which number. `at` is when it is taken (Unix seconds)."""

    verifier: str
    reporter: str
    number: int
    at: int


def events_of(report: Report, known: Known, origin: Origin) -> Iterator[Event]:
    """The report's event, and an exception more for a use that should not have been, or was decided without knowing."""
    credential = known.credential
    if (cause := _wrong(report, credential, origin.at)) or credential is None:
        yield _event(EventType.EXCEPTION, report, known, origin, cause=cause)
        return
    yield _event(_KINDS[report.kind], report, known, origin)
    if report.outcome == "allowed" and _over(report, credential):
        yield _event(EventType.EXCEPTION, report, known, origin, cause="allowed_after_end")
    if report.staleness:
        yield _event(EventType.EXCEPTION, report, known, origin, cause="degraded_decision")


def gap(origin: Origin, first: int, last: int) -> Event:
    """That reports with these numbers never came."""
    details = {"cause": "report_gap", "reporter": origin.reporter, "from": first, "to": last}
    return Event(EventType.EXCEPTION, origin.at, origin.verifier, origin.verifier, details=details)


def misshapen(report: Report) -> list[str]:
    """Names of its fields that are too long, not printable, of another form, or hold a token."""
    said = asdict(report)
    wrong = [name for name, most in _LENGTHS.items() if not _fits(name, said[name], most)]
    return wrong + [name for name in ("at", "staleness") if not 0 <= said[name] <= MOST]


def _wrong(report: Report, credential: Credential | None, now: int) -> str:
    """Why it is not taken for what it says; empty if it is."""
    if report.kind not in _KINDS:
        return "report_kind_unknown"
    if misshapen(report) or report.outcome not in _OUTCOMES:
        return "report_malformed"
    if credential is None:
        return "credential_unknown"
    # What is reported late was kept by the verifier; before the token was there it cannot have been used.
    in_time = credential.issued_at - SKEW <= report.at <= now + SKEW
    held = {
        "audience_mismatch": report.audience == credential.audience,
        "task_mismatch": report.task_id == credential.task_id,
        "clock_off": in_time,
    }
    return next((cause for cause, good in held.items() if not good), "")


def _over(report: Report, credential: Credential) -> bool:
    ended = min(credential.expires_at, credential.revoked_at or credential.expires_at)
    return report.at > ended + SKEW


def _event(kind: EventType, report: Report, known: Known, origin: Origin, **more: object) -> Event:
    wrong = set(misshapen(report))
    said: dict[str, Any] = {name: value for name, value in asdict(report).items() if name not in wrong}
    said.pop("task_id", None)
    reported_kind = said.pop("kind", "")
    details = {**more, "reporter": origin.reporter, "number": origin.number, **said}
    if kind is EventType.EXCEPTION:
        details |= {"kind": reported_kind} | ({"withheld": sorted(wrong)} if wrong else {})
    credential = known.credential
    return Event(
        kind,
        origin.at,
        origin.verifier,
        said.get("jti") or origin.verifier,
        credential.task_id if credential else known.task_id,
        credential.principal if credential else "",
        known.actor_type,
        details,
    )


def _fits(name: str, text: str, most: int) -> bool:
    form = _FORMS.get(name)
    shaped = form is None or form.fullmatch(text) is not None
    return len(text) <= most and text.isprintable() and shaped and _TOKEN.search(text) is None
