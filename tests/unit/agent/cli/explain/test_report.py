"""What a person sees, and what a program reads."""

import json
from pathlib import Path

import pytest

from assay.cli.output import print_json
from assay.entry import Entry
from assay.selector import Selector
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import SpiffeId, TrustDomain
from assay_agent.cli.explain.gather import Case, Explained
from assay_agent.cli.explain.report import command_line, explained_dict, print_explained
from assay_agent.explanation.finding import Cause, Fault, Finding, Remedy
from assay_agent.explanation.scene import AgentView, ServerView, Workload

TD = TrustDomain("example.org")
AGENT = SpiffeId(TD, "/spire/agent/x509pop/a-long-name-so-that-lines-are-longer-than-terminals-are-wide")
ENTRY = Entry("an-id", SpiffeId(TD, "/web"), AGENT, (Selector("unix", "uid:1"), Selector("unix", "user:we\x1bb")))
MISSING = Fault(Cause.MISSING, "it asks for what is not there", Selector("unix", "uid:1"))
UPDATE = ("assay", "entry", "update", "--parent-id", str(AGENT), "--hint", "two words")


def explained(*cases: Case, server: ServerView | None = None, socket: Path = ADMIN_SOCKET) -> Explained:
    return Explained(cases, AgentView(spiffe_id=AGENT), server, "" if server else "nobody listens", None, socket)


CASE = Case(
    Workload(pid=7, uid=1, program="/bin/web", selectors=frozenset({Selector("unix", "user:we\x1bb")})),
    (Finding((MISSING, Fault(Cause.EXPIRED, "it is [red]old")), ENTRY, Remedy((UPDATE,), "x = 1", "mind this")),),
)


def test_a_person_sees_what_is_wrong_and_a_line_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    print_explained(explained(CASE))
    said = capsys.readouterr().out
    for line in (
        "Workload   process 7, /bin/web, user 1",
        "Server     not asked: nobody listens. Name its admin socket with --server-socket",
        "1. Entry an-id for spiffe://example.org/web",
        "   fits but for this: it asks for what is not there",
        "   and: it is [red]old",
        "   its selectors: ✗ unix:uid:1 ✓ unix:user:we\\x1bb",
        f"     assay entry update --parent-id {AGENT} --hint 'two words'",
        "     x = 1",
        "   Note: mind this",
    ):
        assert line in said.splitlines()
    assert "\x1b" not in said


def test_an_identity_is_good_news(capsys: pytest.CaptureFixture[str]) -> None:
    good = Case(Workload(pid=7), (Finding((Fault(Cause.ISSUED, "has spiffe://example.org/web"),), ENTRY),))
    print_explained(explained(good))
    assert "✓ Has spiffe://example.org/web" in capsys.readouterr().out
    assert good.issued
    assert not CASE.issued


def test_nobody_was_refused(capsys: pytest.CaptureFixture[str]) -> None:
    print_explained(explained())
    assert "has refused nobody" in capsys.readouterr().out


def test_commands_name_the_socket_they_need(tmp_path: Path) -> None:
    evict = ("assay", "node", "evict")
    assert command_line(evict, explained()) == "assay node evict"
    elsewhere = explained(socket=tmp_path / "a b")
    assert command_line(evict, elsewhere) == f"assay node evict --socket-path '{tmp_path}/a b'"
    assert command_line(("assay", "doctor"), elsewhere) == "assay doctor"


def test_a_program_reads_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(explained_dict(explained(CASE, server=ServerView([ENTRY]))))
    read = json.loads(capsys.readouterr().out)
    (case,) = read["workloads"]
    (finding,) = case["findings"]
    assert (read["agent"]["spiffe_id"], read["server"]["entries"], case["issued"]) == (str(AGENT), 1, False)
    assert (finding["cause"], finding["entry_id"]) == ("selector-missing", "an-id")
    assert [one["cause"] for one in finding["faults"]] == ["selector-missing", "entry-expired"]
    assert finding["commands"] == [f"assay entry update --parent-id {AGENT} --hint 'two words'"]
