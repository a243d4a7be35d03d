"""What was found, for people and as JSON."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from assay.cli.output import count_of, printable
from assay.entry import Entry
from assay.selector import Selector
from assay.sockets import ADMIN_SOCKET
from assay_agent.cli.explain.gather import Case, Explained
from assay_agent.explanation.finding import Cause, Fault, Finding, shell_line
from assay_agent.explanation.scene import Workload

_GOOD = frozenset({Cause.ISSUED, Cause.PENDING})
_AT_SERVER = frozenset({"entry", "node", "token"})


def print_explained(explained: Explained) -> None:
    """Each workload with what was seen of it, then what is in the way and what to do."""
    console = Console(highlight=False)
    for case in explained.cases:
        _print_case(console, case, explained)
    if not explained.cases:
        _say(console, "The agent has refused nobody since it started. Name a process with --pid, or a user with --uid.")


def explained_dict(explained: Explained) -> dict[str, object]:
    """The same for programs; `cause` has the values of Cause."""
    agent, server = explained.agent, explained.server
    return {
        "agent": {
            "spiffe_id": str(agent.spiffe_id or ""),
            "running": agent.running,
            "synced": agent.synced,
            "entries": len(agent.held),
        },
        "server": {
            "asked": server is not None,
            "entries": len(server.entries) if server is not None else 0,
            "reason": explained.server_trouble,
        },
        "workloads": [_case_dict(case, explained) for case in explained.cases],
    }


def command_line(command: Iterable[str], explained: Explained) -> str:
    """A command as it is to be pasted, with the socket or file that it has to name."""
    words = list(command)
    if words[1] in _AT_SERVER and explained.server_socket != ADMIN_SOCKET:
        words += ["--socket-path", str(explained.server_socket.absolute())]
    if words[1] in {"agent", "doctor", "explain"} and explained.config is not None:
        words += ["--config" if words[1] == "agent" else "--agent-config", str(explained.config.absolute())]
    return shell_line(words)


def _print_case(console: Console, case: Case, explained: Explained) -> None:
    for label, value in _facts(case.workload, explained):
        _say(console, Text.assemble((f"{label:<11}", "bold"), printable(value)))
    for number, finding in enumerate(case.findings, 1):
        _say(console, "")
        _print_finding(console, number, finding, case.workload, explained)
    _say(console, "")


def _facts(workload: Workload, explained: Explained) -> Iterator[tuple[str, str]]:
    if described := _described(workload):
        yield "Workload", described
    for number, selector in enumerate(sorted(workload.selectors)):
        yield "" if number else "Selectors", str(selector)
    agent = explained.agent
    if agent.running:
        named = str(agent.spiffe_id or "not attested yet")
        yield "Agent", f"{named}, authorized for {count_of(len(agent.held), 'entry', 'entries')}"
    else:
        yield "Agent", f"does not run; it was {agent.spiffe_id}" if agent.spiffe_id else "does not run"
    if explained.server is not None:
        yield "Server", f"has {count_of(len(explained.server.entries), 'entry', 'entries')} in all"
    else:
        yield "Server", f"not asked: {explained.server_trouble}. Name its admin socket with --server-socket"


def _described(workload: Workload) -> str:
    parts = [f"process {workload.pid}"] if workload.pid else []
    if workload.program:
        parts.append(workload.program)
    if workload.uid is not None:
        parts.append(f"user {workload.uid}")
    if workload.refused_at:
        parts.append(f"refused at {datetime.fromtimestamp(workload.refused_at, UTC):%Y-%m-%d %H:%M:%S} UTC")
    elif workload.uid is not None and not workload.pid:
        parts.append("by its account alone: of a running process, --pid shows more")
    return ", ".join(parts)


def _print_finding(console: Console, number: int, finding: Finding, workload: Workload, explained: Explained) -> None:
    good = finding.cause in _GOOD
    mark = ("✓ ", "green") if good else (f"{number}. ", "bold red")
    entry = finding.entry
    if entry is not None and not good:
        _say(console, Text.assemble(mark, "Entry ", (printable(entry.id), "bold"), f" for {entry.spiffe_id}"))
        verdict = "fits but for this: " if _shares(entry, workload) else "does not fit: "
        _say(console, Text.assemble(f"   {verdict}", (printable(finding.faults[0].text), "red")))
        for fault in finding.faults[1:]:
            _say(console, Text.assemble("   and: ", (printable(fault.text), "red")))
        _say(console, _selectors(entry, workload))
    else:
        text = "; ".join(printable(fault.text) for fault in finding.faults)
        _say(console, Text.assemble(mark, text[:1].upper() + text[1:]))
    _print_remedy(console, finding, explained)


def _shares(entry: Entry, workload: Workload) -> bool:
    return any(one in workload.selectors for one in entry.selectors)


def _selectors(entry: Entry, workload: Workload) -> Text:
    line = Text("   its selectors:")
    for selector in entry.selectors:
        seen = selector in workload.selectors
        line.append(" ✓ " if seen else " ✗ ", "green" if seen else "red").append(printable(str(selector)))
    return line


def _print_remedy(console: Console, finding: Finding, explained: Explained) -> None:
    remedy = finding.remedy
    if remedy.settings:
        _say(console, Text("   In the agent's configuration, in plugins { }:"))
        for line in remedy.settings.splitlines():
            _say(console, Text(f"     {line}", "cyan"))
    if remedy.commands:
        _say(console, Text("   To mend it:"))
    for command in remedy.commands:
        _say(console, Text(f"     {command_line(command, explained)}", "cyan"))
    if remedy.note:
        _say(console, Text(f"   Note: {printable(remedy.note)}", "dim"))


def _say(console: Console, text: str | Text) -> None:
    # No wrapping: what is pasted must be one line.
    console.print(text, soft_wrap=True, markup=False)


def _case_dict(case: Case, explained: Explained) -> dict[str, object]:
    workload = case.workload
    return {
        "issued": case.issued,
        "pid": workload.pid,
        "uid": workload.uid,
        "program": workload.program,
        "refused_at": workload.refused_at,
        "selectors": _texts(sorted(workload.selectors)),
        "failures": dict(workload.failures),
        "findings": [_finding_dict(one, explained) for one in case.findings],
    }


def _finding_dict(finding: Finding, explained: Explained) -> dict[str, object]:
    entry, remedy = finding.entry, finding.remedy
    return {
        "cause": finding.cause.value,
        "entry_id": entry.id if entry is not None else "",
        "spiffe_id": str(entry.spiffe_id) if entry is not None else "",
        "parent_id": str(entry.parent_id) if entry is not None else "",
        "selectors": _texts(entry.selectors) if entry is not None else [],
        "faults": [_fault_dict(one) for one in finding.faults],
        "commands": [command_line(command, explained) for command in remedy.commands],
        "settings": remedy.settings,
        "note": remedy.note,
    }


def _fault_dict(fault: Fault) -> dict[str, object]:
    return {
        "cause": fault.cause.value,
        "text": fault.text,
        "selector": str(fault.selector or ""),
        "instead": _texts(fault.instead),
    }


def _texts(selectors: Iterable[Selector]) -> list[str]:
    return list(map(str, selectors))
