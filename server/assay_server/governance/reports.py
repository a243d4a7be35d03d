"""Reports of verifiers, taken into the ledger: each number once, and those that never came are said."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId
from assay_server.datastore.base import Transaction
from assay_server.governance.journal import erase, record
from assay_server.governance.reported import MOST, Known, Origin, events_of, gap, misshapen
from assay_server.model.governed.catalogue import RESOURCE
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL
from assay_server.model.governed.report import REPORTER, Report, Reporter
from assay_server.model.governed.task import CREDENTIAL, TASK

MAX_REPORTS = 32
"""In one transaction, which others wait for."""

MAX_REPORTER = 128
"""Characters."""

_FORGOTTEN_AT_ONCE = 8


def take(tx: Transaction, reporter: str, verifier: SpiffeId, first: int, reports: Sequence[Report], now: int) -> int:
    """Write down the reports with the numbers from `first` on; the number up to which all are, now or since before.

    What was written down before, and sent again because the answer was lost, stays as it is. At most MAX_REPORTS are
    taken: the rest is to be sent again, as after any answer that does not reach to the end.

    Raises:
        InvalidArgumentError: the reporter's name is none, or the numbers are out of range.
    """
    taken = reports[:MAX_REPORTS]
    _check(reporter, first, len(reports))
    key = REPORTER.key(Reporter(str(verifier), reporter, 0, 0))
    known = tx.governed.get(REPORTER, key)
    last, end = known.last if known else 0, first + len(taken) - 1
    if not taken or end <= last:
        return last
    if known is None:
        _forget(tx, now)
    events = list(_events(tx, Origin(str(verifier), reporter, first, now), taken, last))
    for event in events[:-1]:
        record(tx, event)
    record(tx, events[-1], (REPORTER, Reporter(str(verifier), reporter, end, now)))
    return end


def _check(reporter: str, first: int, number: int) -> None:
    if not 0 < len(reporter) <= MAX_REPORTER or not reporter.isprintable():
        raise InvalidArgumentError(f"reporter must be a name of at most {MAX_REPORTER} characters")
    if not 0 < first <= MOST - number:
        raise InvalidArgumentError("reports are numbered from 1 on", hint="name another reporter and begin anew")


def _events(tx: Transaction, origin: Origin, reports: Sequence[Report], last: int) -> Iterator[Event]:
    first = origin.number
    if first > last + 1:
        yield gap(origin, last + 1, first - 1)
    own = _identities(tx, origin.verifier)
    for number, report in enumerate(reports, first):
        if number > last:
            odd = misshapen(report)
            yield from events_of(report, odd, _known(tx, report, odd, own), replace(origin, number=number))


def _identities(tx: Transaction, verifier: str) -> frozenset[str]:
    """What a verifier may be registered under: its SPIFFE ID, and the binding's that it is an instance of."""
    instance = tx.governed.get(INSTANCE, verifier)
    binding = tx.entries.get(instance.entry_id) if instance is not None else None
    return frozenset({verifier} if binding is None else {verifier, str(binding.spiffe_id)})


def _known(tx: Transaction, report: Report, odd: Collection[str], own: frozenset[str]) -> Known:
    """What is registered; what is misshapen is not even looked for."""
    credential = None if "jti" in odd else tx.governed.get(CREDENTIAL, report.jti)
    if credential is not None:
        principal = tx.governed.get(PRINCIPAL, credential.principal)
        serves = _serves(tx, credential.audience or ("" if "audience" in odd else report.audience), own)
        return Known(credential, principal.actor_type.value if principal else "", serves=serves)
    task = None if "task_id" in odd else tx.governed.get(TASK, report.task_id)
    return Known(None, task_id=task.task_id if task else "")


def _serves(tx: Transaction, audience: str, own: frozenset[str]) -> bool:
    """Whether it is one of those that take the audience's tokens; all are where none is registered."""
    resource = tx.governed.get(RESOURCE, audience)
    return resource is None or not resource.verifiers or bool(own & {audience, *resource.verifiers})


def _forget(tx: Transaction, now: int) -> None:
    """Reporters that were silent for long, a few at a time."""
    for one in tx.governed.due(REPORTER, now, _FORGOTTEN_AT_ONCE):
        details = {"cause": "reporter_forgotten", "reporter": one.name, "last": one.last}
        event = Event(EventType.EXCEPTION, now, one.verifier, one.verifier, details=details)
        erase(tx, event, REPORTER, REPORTER.key(one))
