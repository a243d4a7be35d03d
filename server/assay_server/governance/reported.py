"""What a report becomes in the ledger: an event of its kind, or an exception that says what is wrong with it. Pure.

A verifier is attested, and may err or lie all the same: what it says is held against the record of the token. What is
not as it has to be is named and never copied, since it may be a parameter or a token.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
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
_NUMBERS = ("at", "staleness")
_KEPT = tuple(each.name for each in fields(Report) if each.name not in {"kind", "task_id"})
_FORMS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "parameters_digest": re.compile(r"(sha-256:[A-Za-z0-9_-]{43})?"),
        "trace_id": re.compile(r"([0-9a-f]{32})?"),
    }
)
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.")


@dataclass(frozen=True, slots=True)
class Known:
    """What is registered of a report: the token's record, its principal's actor type, the task if there is one.

    `serves` is whether the verifier is one of the audience's, where it is registered which these are.
    """

    credential: Credential | None
    actor_type: str = ""
    task_id: str = ""
    serves: bool = True


@dataclass(frozen=True, slots=True)
class Origin:
    """Who reports, in which memory of its, and under which number. `at` is when it is taken (Unix seconds)."""

    verifier: str
    reporter: str
    number: int
    at: int


def events_of(report: Report, odd: Collection[str], known: Known, origin: Origin) -> Iterator[Event]:
    """The report's event, and an exception more for a use that should not have been, or was decided without knowing.

    `odd` are the fields that are misshapen.
    """
    credential = known.credential
    if (cause := _wrong(report, odd, known, origin.at)) or credential is None:
        yield _exception(report, odd, known, origin, cause)
        return
    yield _event(_KINDS[report.kind], known, origin, _said(report, odd))
    if report.outcome == "allowed" and _over(report, credential):
        yield _exception(report, odd, known, origin, "allowed_after_end")
    if report.staleness:
        yield _exception(report, odd, known, origin, "degraded_decision")


def gap(origin: Origin, first: int, last: int) -> Event:
    """That reports with these numbers never came."""
    details = {"cause": "report_gap", "reporter": origin.reporter, "from": first, "to": last}
    return Event(EventType.EXCEPTION, origin.at, origin.verifier, origin.verifier, details=details)


def misshapen(report: Report) -> list[str]:
    """Names of its fields that are too long, not printable, of another form, or hold a token."""
    odd = [name for name, most in _LENGTHS.items() if not _fits(name, getattr(report, name), most)]
    return odd + [name for name in _NUMBERS if not 0 <= getattr(report, name) <= MOST]


def _wrong(report: Report, odd: Collection[str], known: Known, now: int) -> str:
    """Why it is not taken for what it says; empty if it is."""
    credential = known.credential
    if report.kind not in _KINDS:
        return "report_kind_unknown"
    if odd or report.outcome not in _OUTCOMES:
        return "report_malformed"
    if credential is None:
        return "credential_unknown"
    # What is reported late was kept by the verifier; before the token was there it cannot have been used.
    in_time = credential.issued_at - SKEW <= report.at <= now + SKEW
    held = {
        # A WIT-SVID is for no audience: whoever is shown it is one.
        "audience_mismatch": credential.audience in {"", report.audience},
        "verifier_unknown": known.serves,
        "task_mismatch": report.task_id == credential.task_id,
        "clock_off": in_time,
    }
    return next((cause for cause, good in held.items() if not good), "")


def _over(report: Report, credential: Credential) -> bool:
    ended = min(credential.expires_at, credential.revoked_at or credential.expires_at)
    return report.at > ended + SKEW


def _said(report: Report, odd: Collection[str]) -> dict[str, Any]:
    """What is kept of it: all that is not misshapen. Of which task it is, and what kind, the event says."""
    return {name: getattr(report, name) for name in _KEPT if name not in odd}


def _exception(report: Report, odd: Collection[str], known: Known, origin: Origin, cause: str) -> Event:
    kind = {"kind": report.kind} if "kind" not in odd else {}
    withheld = {"withheld": sorted(odd)} if odd else {}
    return _event(EventType.EXCEPTION, known, origin, {"cause": cause, **kind, **withheld, **_said(report, odd)})


def _event(kind: EventType, known: Known, origin: Origin, said: Mapping[str, Any]) -> Event:
    credential = known.credential
    return Event(
        kind,
        origin.at,
        origin.verifier,
        said.get("jti") or origin.verifier,
        credential.task_id if credential else known.task_id,
        credential.principal if credential else "",
        known.actor_type,
        {"reporter": origin.reporter, "number": origin.number, **said},
    )


def _fits(name: str, text: str, most: int) -> bool:
    form = _FORMS.get(name)
    shaped = form is None or form.fullmatch(text) is not None
    return len(text) <= most and text.isprintable() and shaped and not ("eyJ" in text and _TOKEN.search(text))
