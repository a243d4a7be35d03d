"""What `assay node` asks the server."""

from collections.abc import Iterable
from pathlib import Path

from assay.cli.admin import TIMEOUT, connect
from assay.rpc.status import EndError
from assay.spiffeid import SpiffeId
from assay.wire import spiffeid as wire
from assay.wire.service import agent_stub
from assay_proto.spire.api.server.agent.v1 import agent_pb2 as pb
from assay_proto.spire.api.types.agent_pb2 import Agent

PAGE = 1000


async def find(socket_path: Path, where: pb.ListAgentsRequest.Filter) -> pb.ListAgentsResponse:
    """All that fit, page by page."""
    found = pb.ListAgentsResponse()
    async with connect(socket_path) as channel:
        while True:
            request = pb.ListAgentsRequest(filter=where, page_size=PAGE, page_token=found.next_page_token)
            page = await agent_stub(channel).ListAgents(request, timeout=TIMEOUT)
            found.agents.extend(page.agents)
            found.next_page_token = page.next_page_token
            if not page.next_page_token:
                return found


async def count(socket_path: Path, where: pb.CountAgentsRequest.Filter) -> pb.CountAgentsResponse:
    """How many fit."""
    async with connect(socket_path) as channel:
        return await agent_stub(channel).CountAgents(pb.CountAgentsRequest(filter=where), timeout=TIMEOUT)


async def get(socket_path: Path, agent: SpiffeId) -> Agent:
    """The one with that SPIFFE ID."""
    async with connect(socket_path) as channel:
        return await agent_stub(channel).GetAgent(pb.GetAgentRequest(id=wire.to_proto(agent)), timeout=TIMEOUT)


async def ban(socket_path: Path, agent: SpiffeId) -> None:
    """Shut it out."""
    async with connect(socket_path) as channel:
        await agent_stub(channel).BanAgent(pb.BanAgentRequest(id=wire.to_proto(agent)), timeout=TIMEOUT)


async def evict(socket_path: Path, agent: SpiffeId) -> None:
    """Forget it."""
    async with connect(socket_path) as channel:
        await agent_stub(channel).DeleteAgent(pb.DeleteAgentRequest(id=wire.to_proto(agent)), timeout=TIMEOUT)


async def evict_each(socket_path: Path, agents: Iterable[SpiffeId]) -> dict[SpiffeId, str]:
    """Forget each; why not, or an empty text."""
    done: dict[SpiffeId, str] = {}
    async with connect(socket_path) as channel:
        for agent in agents:
            try:
                await agent_stub(channel).DeleteAgent(pb.DeleteAgentRequest(id=wire.to_proto(agent)), timeout=TIMEOUT)
            except EndError as error:
                done[agent] = error.message or error.code.name
            else:
                done[agent] = ""
    return done
