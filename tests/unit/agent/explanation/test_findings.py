"""Why there is no identity: each cause, and which comes first."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_agent.explanation.finding import Cause, Finding
from assay_agent.explanation.findings import explain
from assay_agent.explanation.scene import Node, Sight, Workload

TD = TrustDomain("example.org")
AGENT = SpiffeId(TD, "/spire/agent/x509pop/here")
THERE = SpiffeId(TD, "/spire/agent/x509pop/there")
NOW = 1_000_000

Make = Callable[..., Any]


def causes(findings: tuple[Finding, ...]) -> list[Cause]:
    return [one.cause for one in findings]


def entry_of(finding: Finding) -> Entry:
    assert finding.entry is not None
    return finding.entry


def test_nothing_is_in_the_way(scene: Make, entry: Make) -> None:
    (found,) = explain(scene(entry("unix:uid:1000"), entry("unix:uid:1", name="/other")))
    assert found.cause is Cause.ISSUED
    assert entry_of(found).spiffe_id.path == "/web"


def test_an_svid_that_is_not_signed_yet(scene: Make, entry: Make) -> None:
    assert causes(explain(scene(entry("unix:uid:1000"), signed=frozenset()))) == [Cause.PENDING]


def test_no_entry_at_all(scene: Make) -> None:
    (found,) = explain(scene())
    assert found.cause is Cause.NO_ENTRY
    assert found.faults[0].text == "nothing is registered at the server"
    (line,) = found.remedy.lines
    assert (
        line == f"assay entry create --spiffe-id spiffe://example.org/web --parent-id {AGENT} --selector unix:user:web"
    )


def test_entries_about_something_else_are_no_entry(scene: Make, entry: Make) -> None:
    other = entry("k8s:ns:prod", "k8s:sa:web", "k8s:pod-name:x", "k8s:pod-uid:y", parent="/spire/agent/x509pop/there")
    assert causes(explain(scene(other))) == [Cause.NO_ENTRY]


@pytest.mark.parametrize("fields", [{"dns_names": ("web",)}, {"hint": "main"}, {"x509_svid_ttl": 60}])
def test_one_selector_is_missing(scene: Make, entry: Make, fields: dict[str, Any]) -> None:
    near = entry("unix:uid:1000", "unix:supplementary_group:tls", **fields)
    (found,) = explain(scene(near))
    assert (found.cause, found.entry) == (Cause.MISSING, near)
    assert found.faults[0].selector == Selector("unix", "supplementary_group:tls")
    assert "--selector unix:uid:1000" in found.remedy.lines[0]
    assert "supplementary_group" not in found.remedy.lines[0]
    assert "fits every workload with unix:uid:1000" in found.remedy.note


def test_a_selector_has_another_value(scene: Make, entry: Make) -> None:
    (found,) = explain(scene(entry("unix:uid:1001")))
    assert found.cause is Cause.OTHER_VALUE
    assert found.faults[0].text == "it asks for unix:uid:1001; the workload has unix:uid:1000"
    (line,) = found.remedy.lines
    assert line.startswith("assay entry update --entry-id id-of-web --spiffe-id spiffe://example.org/web ")
    assert line.endswith(f" --parent-id {AGENT} --selector unix:uid:1000")


def test_the_other_value_that_is_most_alike_comes_first(scene: Make, entry: Make) -> None:
    entries = [entry(f"unix:uid:{uid}", name=f"/{uid}", id=str(uid)) for uid in (5, 77, 1001)]
    assert [entry_of(one).id for one in explain(scene(*entries), most=1)] == ["1001"]


def test_of_several_other_values_none_is_guessed(scene: Make, entry: Make) -> None:
    groups = ("supplementary_gid:4", "supplementary_gid:5", "uid:1000")
    workload = Workload(pid=7, selectors=frozenset(Selector("unix", one) for one in groups))
    (found,) = explain(scene(entry("unix:uid:1000", "unix:supplementary_gid:6"), workload=workload))
    assert found.cause is Cause.OTHER_VALUE
    assert found.remedy.lines[0].endswith("--selector unix:uid:1000")


@pytest.mark.parametrize(
    ("nodes", "verb"),
    [
        ((Node(AGENT), Node(THERE)), "create"),
        ((Node(AGENT),), "update"),
    ],
)
def test_the_parent_is_another(scene: Make, entry: Make, nodes: tuple[Node, ...], verb: str) -> None:
    """An agent that lives keeps its entry; one that is gone does not need it."""
    (found,) = explain(scene(entry("unix:uid:1000", parent=THERE.path), nodes=nodes))
    assert found.cause is Cause.WRONG_PARENT
    assert ("which no attested agent has" in found.faults[0].text) == (verb == "update")
    assert found.remedy.lines[0].startswith(f"assay entry {verb} ")
    assert f"--parent-id {AGENT}" in found.remedy.lines[0]
    assert ("--entry-id" in found.remedy.lines[0]) == (verb == "update")


def test_an_entry_below_the_server_is_a_slip(scene: Make, entry: Make) -> None:
    (found,) = explain(scene(entry("unix:uid:1000", parent="/spire/server")))
    assert found.cause is Cause.WRONG_PARENT
    assert "as of entries for nodes" in found.faults[0].text
    assert found.remedy.lines[0].startswith("assay entry update ")


def test_node_aliases_and_what_is_below_them_are_the_agents(scene: Make, entry: Make) -> None:
    alias = entry("x509pop:ca:1", name="/nodes", parent="/spire/server")
    inner = entry("unix:uid:1", name="/inner", parent="/nodes")
    below = entry("unix:uid:1001", parent="/inner")
    (found,) = explain(scene(alias, inner, below, nodes=(Node(AGENT, frozenset(alias.selectors)),)), most=1)
    assert (entry_of(found).id, found.cause) == (below.id, Cause.OTHER_VALUE)
    (found,) = explain(scene(alias, inner, below, nodes=(Node(AGENT),)), most=1)
    assert found.cause is Cause.WRONG_PARENT


def test_what_the_agent_holds_is_below_it_though_the_server_was_not_asked(scene: Make, entry: Make) -> None:
    (found,) = explain(scene(asked=False, held=(entry("unix:uid:1001", parent="/nodes"),)))
    assert causes((found,)) == [Cause.OTHER_VALUE]


def test_the_agent_is_banned(scene: Make, entry: Make) -> None:
    first, second = explain(scene(entry("unix:uid:1000"), held=(), nodes=(Node(AGENT, banned=True),)))
    assert first.cause is Cause.BANNED
    assert first.remedy.lines == (f"assay node evict --spiffe-id {AGENT}",)
    assert second.cause is Cause.NOT_SYNCED


def test_a_banned_agent_that_is_gone_is_found_by_its_entry(scene: Make, entry: Make) -> None:
    gone = SpiffeId(TD, "/spire/agent/join_token/t")
    near = entry("unix:uid:1000", parent=gone.path)
    found = explain(scene(near, nodes=(Node(gone, banned=True),), spiffe_id=None, running=False))
    assert causes(found) == [Cause.BANNED, Cause.NOT_RUNNING], "to start it is of no use before"
    assert found[0].remedy.lines == (f"assay node evict --spiffe-id {gone}", "assay token generate")


def test_the_server_does_not_know_the_agent(scene: Make) -> None:
    found = explain(scene(nodes=()))
    assert causes(found) == [Cause.NOT_ATTESTED, Cause.NO_ENTRY]


def test_the_agents_svid_has_expired(scene: Make) -> None:
    assert causes(explain(scene(nodes=(Node(AGENT, expires_at=NOW),))))[0] is Cause.AGENT_EXPIRED
    assert causes(explain(scene(nodes=(Node(AGENT, expires_at=NOW + 1),)))) == [Cause.NO_ENTRY]


def test_the_node_is_not_attested(scene: Make) -> None:
    found = explain(scene(spiffe_id=None, nodes=()))
    assert causes(found) == [Cause.NOT_ATTESTED, Cause.NO_ENTRY]
    assert not found[1].remedy.commands


def test_the_agent_has_not_heard_from_its_server(scene: Make) -> None:
    assert causes(explain(scene(synced=False, asked=False)))[0] is Cause.SERVER_UNHEARD


def test_the_entry_has_expired(scene: Make, entry: Make) -> None:
    (found,) = explain(scene(entry("unix:uid:1000", expires_at=NOW), held=()))
    assert found.cause is Cause.EXPIRED
    assert found.faults[0].text == "it expired at 1970-01-12 13:46:40 UTC"
    assert "--entry-expiry" not in found.remedy.lines[0]


@pytest.mark.parametrize(("expires_at", "said"), [(NOW, True), (NOW + 1, False), (0, False)])
def test_what_the_agent_holds_it_serves(scene: Make, entry: Make, expires_at: int, *, said: bool) -> None:
    (found,) = explain(scene(entry("unix:uid:1000", expires_at=expires_at)))
    assert found.cause is Cause.ISSUED
    assert ("has expired" in found.faults[0].text) == said
    assert bool(found.remedy.commands) == said


@pytest.mark.parametrize("held", [False, True])
def test_the_entry_is_there_and_not_synced(scene: Make, entry: Make, *, held: bool) -> None:
    """Not at all, or as it was before its last change."""
    now = entry("unix:uid:1000", revision=2)
    before = replace(now, selectors=(Selector("unix", "uid:3"),), revision=1)
    (found,) = explain(scene(now, held=(before,) if held else ()))
    assert found.cause is Cause.NOT_SYNCED


def test_the_entry_is_for_a_store(scene: Make, entry: Make) -> None:
    (found,) = explain(scene(entry("unix:uid:1000", store_svid=True)))
    assert found.cause is Cause.STORED
    assert "--store-svid" not in found.remedy.lines[0]
    assert causes(explain(scene(entry("disk:name:web", store_svid=True)))) == [Cause.NO_ENTRY], "no slip"


@pytest.mark.parametrize("kind", ["path:/usr/bin/web", "sha256:abc"])
def test_the_attestor_does_not_look_for_it(scene: Make, entry: Make, kind: str) -> None:
    (found,) = explain(scene(entry("unix:uid:1000", f"unix:{kind}")))
    assert found.cause is Cause.WITHHELD
    assert found.remedy.settings == 'WorkloadAttestor "unix" { plugin_data { discover_workload_path = true } }'
    assert not found.remedy.commands


@pytest.mark.parametrize(("program", "said"), [("/usr/bin/python3", True), ("/usr/bin/web", False), ("web", False)])
def test_a_program_that_is_another_is_named(scene: Make, entry: Make, program: str, *, said: bool) -> None:
    workload = Workload(pid=7, program=program, selectors=frozenset({Selector("unix", "uid:1000")}))
    (found,) = explain(scene(entry("unix:uid:1000", "unix:path:/usr/bin/web"), workload=workload))
    assert found.faults[0].text.endswith(f"; its program is {program}") == said


def test_the_attestor_is_not_configured(scene: Make, entry: Make) -> None:
    near = entry("docker:label:app:web")
    (found,) = explain(replace(scene(near), available=frozenset({"unix", "docker"})))
    assert found.cause is Cause.NO_ATTESTOR
    assert found.remedy.settings == 'WorkloadAttestor "docker" { plugin_data {} }'
    assert not found.remedy.commands


def test_an_attestor_that_is_not_there_is_not_asked_for(scene: Make, entry: Make) -> None:
    (found,) = explain(scene(entry("docker:label:app:web")))
    assert found.cause is Cause.NO_ATTESTOR
    assert not found.remedy.settings
    assert "restart" not in found.remedy.note
    assert found.remedy.lines[0].endswith("--selector unix:user:web")


def test_an_attestor_failed(scene: Make, entry: Make) -> None:
    workload = Workload(pid=7, failures={"unix": "path lookup: Permission denied"})
    first, second = explain(scene(entry("unix:path:/bin/web"), attestors={"unix": {}}, workload=workload))
    assert (first.cause, second.cause) == (Cause.ATTESTOR_FAILED, Cause.ATTESTOR_FAILED)
    assert "CAP_SYS_PTRACE" in first.remedy.note
    assert not second.remedy.commands, "the entry may be right"


@pytest.mark.parametrize(("sight", "cause"), [(Sight.GONE, Cause.GONE), (Sight.ELSEWHERE, Cause.ELSEWHERE)])
def test_a_process_that_cannot_be_seen(scene: Make, entry: Make, sight: Sight, cause: Cause) -> None:
    assert causes(explain(scene(entry("unix:uid:1000"), workload=Workload(pid=7, sight=sight)))) == [cause]


def test_all_faults_of_an_entry_are_told_and_mended_at_once(scene: Make, entry: Make) -> None:
    near = entry("unix:uid:1000", "unix:user:db", parent=THERE.path, expires_at=5)
    (found,) = explain(scene(near))
    assert [one.cause for one in found.faults] == [Cause.EXPIRED, Cause.WRONG_PARENT, Cause.OTHER_VALUE]
    assert found.remedy.lines[0].endswith(f"--parent-id {AGENT} --selector unix:uid:1000 --selector unix:user:web")


def test_fewer_faults_come_first_and_no_more_than_asked_for(scene: Make, entry: Make) -> None:
    two = entry("unix:uid:1000", "unix:user:x", parent=THERE.path, id="a", name="/a")
    one = entry("unix:uid:1000", "unix:user:x", id="b", name="/b")
    none_shared = entry("unix:uid:9", id="c", name="/c")
    ranked = explain(scene(two, one, none_shared))
    assert [entry_of(each).id for each in ranked] == ["b", "c", "a"]
    assert len(explain(scene(two, one, none_shared), most=1)) == 1


def test_a_further_id_of_an_agent_is_no_entry_for_workloads(scene: Make, entry: Make) -> None:
    assert causes(explain(scene(entry(f"spiffe_id:{AGENT}", name="/nodes")))) == [Cause.NO_ENTRY]
