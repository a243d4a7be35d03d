"""What the agent and the server say."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from assay.cli.admin import TIMEOUT, check_listening, connect, dial, translated
from assay.rpc.client import Channel
from assay.rpc.status import EndError
from assay.wire import entry as entry_wire
from assay.wire import selector as selector_wire
from assay.wire import spiffeid as spiffeid_wire
from assay.wire.service import agent_stub, entry_stub, path_of
from assay_agent.explanation.scene import AgentView, Node, ServerView, Sight, Workload
from assay_agent.workload.explain import GET_VIEW
from assay_proto.agent.v1 import explain_pb2 as pb
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.types import agent_pb2 as types

PAGE = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent's view of itself, of the process that it was asked about, and of those it refused."""

    agent: AgentView
    workload: Workload | None
    refused: tuple[Workload, ...]


async def ask_agent(path: Path, pid: int) -> Answer:
    """Ask the agent on its private socket; about no process if `pid` is 0.

    Raises:
        UnavailableError: no agent listens there.
        PermissionDeniedError: this user may not ask.
    """
    check_listening(path, "agent", "start one with `assay agent run`")
    channel = dial(path)
    try:
        request = pb.GetViewRequest(pid=pid).SerializeToString()
        answer = await channel.unary(path_of(GET_VIEW), request, (), timeout=TIMEOUT)
    except EndError as error:
        raise translated(error, path) from None
    finally:
        await channel.close()
    view = pb.GetViewResponse.FromString(answer)
    workload = _workload(view.workload) if view.HasField("workload") else None
    return Answer(_agent(view), workload, tuple(map(_workload, view.refused)))


async def ask_server(path: Path) -> ServerView:
    """All entries and agents of the server behind that admin socket.

    Raises:
        AssayError: it is not there, or refuses.
    """
    async with connect(path) as channel:
        entries = [entry_wire.from_proto(one) async for one in _entries(channel)]
        nodes = [_node(one) async for one in _agents(channel)]
    return ServerView(entries, {one.spiffe_id: one for one in nodes})


async def _entries(channel: Channel) -> AsyncIterator[entry_wire.Message]:
    request = entry_pb2.ListEntriesRequest(page_size=PAGE)
    while True:
        page = await entry_stub(channel).ListEntries(request, timeout=TIMEOUT)
        for one in page.entries:
            yield one
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def _agents(channel: Channel) -> AsyncIterator[types.Agent]:
    request = agent_pb2.ListAgentsRequest(page_size=PAGE)
    while True:
        page = await agent_stub(channel).ListAgents(request, timeout=TIMEOUT)
        for one in page.agents:
            yield one
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _node(message: types.Agent) -> Node:
    return Node(
        spiffeid_wire.from_proto(message.id),
        frozenset(selector_wire.set_from_proto(message.selectors)),
        message.banned,
        message.x509svid_expires_at,
    )


def _agent(view: pb.GetViewResponse) -> AgentView:
    entries = map(entry_wire.from_proto, view.entries)
    return AgentView(
        spiffe_id=spiffeid_wire.from_proto(view.agent_id) if view.HasField("agent_id") else None,
        synced=view.synced,
        attestors={one.name: dict(one.withheld) for one in view.attestors},
        held={one.id: one for one in entries},
        signed=frozenset(view.signed_entry_ids),
    )


def _workload(message: pb.Workload) -> Workload:
    return Workload(
        pid=message.pid,
        uid=message.uid,
        selectors=frozenset(selector_wire.set_from_proto(message.selectors)),
        failures=dict(message.failures),
        sight=Sight.GONE if message.gone else Sight.SEEN,
        refused_at=message.refused_at,
    )
