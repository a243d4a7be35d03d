"""Why a workload has no identity: the decision, without I/O."""

from collections.abc import Iterator

from assay_agent.explanation.finding import Cause, Fault, Finding, Remedy
from assay_agent.explanation.nearest import has_expired, nearest
from assay_agent.explanation.remedy import mend, prolong, readmit, register
from assay_agent.explanation.scene import Scene, Sight

MOST_ENTRIES = 3
"""How many of the nearest entries are worth telling."""

_DOCTOR = Remedy((("assay", "doctor"),), note="see the agent's log for why; doctor looks at the way to the server")


def explain(scene: Scene, most: int = MOST_ENTRIES) -> tuple[Finding, ...]:
    """What is in the way, the first thing to mend first; ISSUED findings alone when nothing is.

    Entries stand in the order of their nearness, at most `most` of them.
    """
    if scene.workload.sight is not Sight.SEEN:
        return (_unseen(scene),)
    if served := tuple(_served(scene)):
        return served
    agent = tuple(_of_agent(scene))
    blind = tuple(_blind(scene))
    if not scene.workload.selectors and not blind:
        return agent
    near = tuple(Finding(one.faults, one.entry, mend(one, scene)) for one in nearest(scene)[:most])
    if near and near[0].cause is Cause.BANNED:
        # To start the agent again is of no use before.
        return (*near, *agent)
    if near or blind:
        return (*agent, *blind, *near)
    return (*agent, *blind, _no_entry(scene))


def _unseen(scene: Scene) -> Finding:
    pid = scene.workload.pid
    if scene.workload.sight is Sight.GONE:
        text = f"there is no process {pid}: what a process was cannot be told once it has ended"
        note = "give the number of one that runs, or its user with --uid; without either, the last refusals are shown"
        return Finding((Fault(Cause.GONE, text),), remedy=Remedy((("assay", "explain"),), note=note))
    text = f"process {pid} is in a PID namespace that the agent cannot see, so it is never told who calls"
    note = "run the agent in the host's PID namespace (docker run --pid host, hostPID: true of a pod)"
    return Finding((Fault(Cause.ELSEWHERE, text),), remedy=Remedy(note=note))


def _served(scene: Scene) -> Iterator[Finding]:
    """The entries that give it an identity: those that the agent holds, as the agent goes by them."""
    for entry in scene.agent.held.values():
        fits = bool(entry.selectors) and scene.workload.selectors.issuperset(entry.selectors)
        if not fits or entry.store_svid:
            continue
        if entry.id in scene.agent.signed and has_expired(entry, scene.now):
            text = f"has {entry.spiffe_id}, until the server takes away the entry, which has expired"
            yield Finding((Fault(Cause.ISSUED, text),), entry, prolong(entry))
        elif entry.id in scene.agent.signed:
            yield Finding((Fault(Cause.ISSUED, f"has {entry.spiffe_id}"),), entry)
        else:
            text = f"is entitled to {entry.spiffe_id}, whose SVID is not signed yet"
            note = "it is signed when it is first asked for; if it stays so, see the agent's log for why"
            yield Finding((Fault(Cause.PENDING, text),), entry, Remedy(note=note))


def _of_agent(scene: Scene) -> Iterator[Finding]:
    agent, server = scene.agent, scene.server
    node = server.nodes.get(agent.spiffe_id) if server is not None and agent.spiffe_id is not None else None
    if node is not None and node.banned:
        yield Finding((Fault(Cause.BANNED, f"the agent {node.spiffe_id} is banned"),), remedy=readmit(node.spiffe_id))
    elif server is not None and agent.spiffe_id is not None and node is None:
        text = f"the server does not know the agent {agent.spiffe_id} (any more): evicted, or another server"
        yield Finding((Fault(Cause.NOT_ATTESTED, text),), remedy=_attest(scene))
    elif node is not None and 0 < node.expires_at <= scene.now:
        text = f"the SVID of the agent {node.spiffe_id} has expired"
        yield Finding((Fault(Cause.AGENT_EXPIRED, text),), remedy=_attest(scene))
    if not agent.running:
        note = "start it; if it ended by itself, the end of its log says why"
        remedy = Remedy((("assay", "agent", "run"),), note=note)
        yield Finding((Fault(Cause.NOT_RUNNING, "no agent runs here"),), remedy=remedy)
    elif agent.spiffe_id is None:
        yield Finding((Fault(Cause.NOT_ATTESTED, "the agent's node is not attested yet"),), remedy=_DOCTOR)
    elif not agent.synced:
        text = "the agent has not heard from its server since it started, and does not know its entries"
        yield Finding((Fault(Cause.SERVER_UNHEARD, text),), remedy=_DOCTOR)


def _attest(scene: Scene) -> Remedy:
    if scene.agent.spiffe_id is not None and "/join_token/" in scene.agent.spiffe_id.path:
        note = "start the agent with the new token: it gets a new ID, which its entries need as their parent"
        return Remedy((("assay", "token", "generate"),), note=note)
    return Remedy(note="start the agent again: it attests anew")


def _blind(scene: Scene) -> Iterator[Finding]:
    """What the attestors could not find out."""
    for name, why in sorted(scene.workload.failures.items()):
        text = f"the {name} attestor failed, and its selectors are missing: {why}"
        note = "programs of other users are shown to root and to holders of CAP_SYS_PTRACE alone"
        yield Finding((Fault(Cause.ATTESTOR_FAILED, text),), remedy=Remedy(note=note if "path" in why else ""))


def _no_entry(scene: Scene) -> Finding:
    if scene.server is None:
        text = "no entry of this agent comes near; those below other parents are known to the server alone"
    elif not scene.server.entries:
        text = "nothing is registered at the server"
    else:
        text = "no entry comes near"
    return Finding((Fault(Cause.NO_ENTRY, text),), remedy=register(scene))
