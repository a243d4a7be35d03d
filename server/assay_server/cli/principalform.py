"""Principals and what hangs on them, printed."""

from collections.abc import Iterable

from google.protobuf.json_format import MessageToDict

from assay.cli.output import count_of, print_labelled, printable
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.cli.governed import LABEL_WIDTH, moment

_ASSAY_AGENTS = "goes to Assay agents only"


def standing_words(missing: Iterable[pb.Missing], state: str) -> str:
    """The state, and what is missing, with the flag that gives each."""
    wanted = ", ".join(f"{one.what} ({one.flag})" for one in missing)
    if state == "staged":
        return f"staged. Missing before it can be activated: {wanted}" if wanted else "staged. Nothing is missing"
    return f"{state}. Missing before it can be resumed: {wanted}" if wanted and state == "suspended" else state


def stopped_words(stopped: pb.Stopped, verb: str) -> str:
    """What a change ended."""
    names = ", ".join(printable(name) for name in stopped.principals)
    principals = count_of(len(stopped.principals), "principal", "principals")
    bindings = "deleted" if verb == "retired" else "withheld"
    return (
        f"{principals} {verb}{f' ({names})' if names else ''}, {count_of(stopped.tasks, 'task', 'tasks')} ended, "
        f"{count_of(stopped.credentials, 'credential', 'credentials')} revoked, "
        f"{count_of(stopped.bindings, 'binding', 'bindings')} {bindings}"
    )


def doubt_words(one: pb.Principal) -> list[str]:
    """How doubtful it is, as far as anybody said so."""
    said = [f"risk score {one.risk_score} ({one.risk_reason})"] if one.risk_score else []
    return [*said, f"in quarantine ({one.quarantine_reason})"] if one.quarantined else said


def print_principal(report: pb.PrincipalReport) -> None:
    """All there is to say about it, and an empty line."""
    print_labelled([*summary_rows(report), *_rows(report.principal), *_hanging(report)], LABEL_WIDTH)


def print_summary(report: pb.PrincipalReport) -> None:
    """What an inventory says of it, and an empty line."""
    print_labelled(summary_rows(report), LABEL_WIDTH)


def summary_rows(report: pb.PrincipalReport) -> list[tuple[str, object]]:
    """What it is, whose, and what of it is live."""
    one = report.principal
    why = f" ({one.state_reason})" if one.state_reason else ""
    missing = ", ".join(f"{each.what} ({each.flag})" for each in report.missing)
    return [
        ("Principal", one.name),
        ("Actor type", one.actor_type),
        ("State", f"{one.state}{why}"),
        *([("Doubts", ", ".join(doubts))] if (doubts := doubt_words(one)) else []),
        *([("Missing", missing)] if missing and one.state != "retired" else []),
        ("Owner", f"{one.owner} ({report.owner_state or 'not known'})"),
        ("Tenant", one.tenant or "(none)"),
        ("Environment", one.environment or "(none)"),
        ("Live credentials", report.live_credentials),
        ("Live tasks", report.live_tasks),
        ("Bindings", report.binding_count),
        ("Instances", report.instance_count),
        ("Last used", moment(report.last_used_at)),
    ]


def binding_rows(binding: pb.Binding) -> list[tuple[str, object]]:
    """What makes an entry a binding."""
    rows: list[tuple[str, object]] = [("Principal", binding.principal)]
    if binding.instance_from:
        rows.append(("Instance from", f"{binding.instance_from}; {_ASSAY_AGENTS}"))
    if binding.withheld:
        rows.append(("Withheld", "true, while the principal is not active"))
    return rows


def print_binding(binding: pb.Binding) -> None:
    """All there is to say about one, and an empty line."""
    rows: list[tuple[str, object]] = [
        ("Entry ID", binding.entry_id),
        ("SPIFFE ID", f"{binding.spiffe_id}{'/{instance}' if binding.instance_from else ''}"),
        ("Parent ID", binding.parent_id),
        *(("Selector", selector) for selector in binding.selectors),
    ]
    print_labelled([*binding_rows(binding)[:1], *rows, *binding_rows(binding)[1:]], LABEL_WIDTH)


def _rows(one: pb.Principal) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("Purpose", one.purpose or "(none)"),
        ("Data classes", _list(one.data_classes)),
        ("Risk class", one.risk_class or "(none)"),
        ("Grants", _list(one.grants)),
        ("ID template", one.id_template),
        ("Registered", moment(one.created_at)),
        ("Changed", f"{moment(one.updated_at)}, revision {one.revision}"),
    ]
    if one.actor_type != "human":
        rows.insert(3, ("Tools", _list(one.tools)))
    if one.actor_type == "ai_agent":
        rows[4:4] = _agent_rows(one)
    return rows


def _agent_rows(one: pb.Principal) -> list[tuple[str, object]]:
    approvals = _list(one.approvals.action_classes) if one.HasField("approvals") else "(not said)"
    return [
        ("Model", one.model or "(none)"),
        ("Approvals for", approvals),
        ("Heartbeat", f"{one.heartbeat} s" if one.HasField("heartbeat") else "(not said)"),
        ("Triggers", _list(one.triggers)),
    ]


def _hanging(report: pb.PrincipalReport) -> list[tuple[str, object]]:
    return [
        *(("Binding", _binding_line(one)) for one in report.bindings),
        *(("Instance", f"{one.spiffe_id}, last seen {moment(one.last_seen)}") for one in report.instances),
        *(("Event", _event_line(one)) for one in report.events),
    ]


def _binding_line(one: pb.Binding) -> str:
    instances = f", instances from {one.instance_from} ({_ASSAY_AGENTS})" if one.instance_from else ""
    withheld = ", withheld" if one.withheld else ""
    return f"{one.entry_id} below {one.parent_id}: {' '.join(one.selectors)}{instances}{withheld}"


def _event_line(one: pb.Event) -> str:
    details = MessageToDict(one.details)
    said = f" ({details['change']})" if "change" in details else ""
    return f"{moment(one.at)} {one.type}{said} by {one.actor}"


def _list(texts: Iterable[str]) -> str:
    return ", ".join(texts) or "(none)"
