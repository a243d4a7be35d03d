"""`assay node`: attested agents. SPIRE's noun is `agent`, which here runs one."""

from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.wrappers_pb2 import BoolValue

from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption, SelectorsOption
from assay.cli.output import count_of, go_time, print_json, print_labelled, print_message
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import SpiffeId
from assay.wire import spiffeid as wire
from assay_proto.spire.api.server.agent.v1.agent_pb2 import (
    BanAgentRequest,
    DeleteAgentRequest,
    ListAgentsRequest,
    ListAgentsResponse,
)
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.spire.api.types.agent_pb2 import Agent
from assay_server.cli.matching import Match, MatchSelectorsOption, selector_match

PAGE = 1000
LABEL_WIDTH = 18

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List, ban and evict attested agents.")

AgentIdOption = Annotated[str, typer.Option("--spiffe-id", help="The agent's SPIFFE ID.", metavar="ID")]


@app.command("list")
def list_nodes(
    *,
    selector: SelectorsOption = None,
    match_selectors_on: MatchSelectorsOption = Match.SUPERSET,
    attestation_type: Annotated[str, typer.Option(help="Only those attested so, such as x509pop.")] = "",
    banned: Annotated[bool | None, typer.Option("--banned/--not-banned", help="Only those banned, or not.")] = None,
    can_reattest: Annotated[
        bool | None, typer.Option("--can-reattest/--cannot-reattest", help="Only those that can, or cannot.")
    ] = None,
    expires_before: Annotated[str, typer.Option(help='Such as "2026-01-02 15:04:05 -0700 -07".')] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """List attested agents."""
    where = ListAgentsRequest.Filter(by_attestation_type=attestation_type, by_expires_before=expires_before)
    if selector:
        where.by_selector_match.CopyFrom(selector_match(selector, match_selectors_on))
    if banned is not None:
        where.by_banned.CopyFrom(BoolValue(value=banned))
    if can_reattest is not None:
        where.by_can_reattest.CopyFrom(BoolValue(value=can_reattest))
    found = run(_list(socket_path, where))
    if output is Output.JSON:
        print_message(found)
    elif not found.agents:
        typer.echo("No attested agents found")
    else:
        typer.echo(f"Found {count_of(len(found.agents), 'attested agent', 'attested agents')}:\n")
        for agent in found.agents:
            print_labelled(_rows(agent), LABEL_WIDTH)


@app.command()
def ban(
    *,
    spiffe_id: AgentIdOption,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Shut an agent out: its SVID is refused from now on, and it cannot attest again until it is evicted."""
    run(_ban(socket_path, SpiffeId.parse(spiffe_id)))
    _print_done("Agent banned successfully", output)


@app.command()
def evict(
    *,
    spiffe_id: AgentIdOption,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Forget an agent: its SVID is refused from now on, and it has to attest again."""
    run(_evict(socket_path, SpiffeId.parse(spiffe_id)))
    _print_done("Agent evicted successfully", output)


def _rows(agent: Agent) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("SPIFFE ID", wire.from_proto(agent.id)),
        ("Attestation type", agent.attestation_type),
        ("Expiration time", go_time(agent.x509svid_expires_at)),
        ("Banned", "true") if agent.banned else ("Serial number", agent.x509svid_serial_number),
        ("Can re-attest", "true" if agent.can_reattest else "false"),
    ]
    if agent.agent_version:
        rows.append(("Agent version", agent.agent_version))
    return rows


def _print_done(text: str, output: Output) -> None:
    if output is Output.JSON:
        print_json({})
    else:
        typer.echo(text)


async def _list(socket_path: Path, where: ListAgentsRequest.Filter) -> ListAgentsResponse:
    found = ListAgentsResponse()
    async with connect(socket_path) as channel:
        while True:
            request = ListAgentsRequest(filter=where, page_size=PAGE, page_token=found.next_page_token)
            page = await AgentStub(channel).ListAgents(request, timeout=TIMEOUT)
            found.agents.extend(page.agents)
            found.next_page_token = page.next_page_token
            if not page.next_page_token:
                return found


async def _ban(socket_path: Path, agent: SpiffeId) -> None:
    async with connect(socket_path) as channel:
        await AgentStub(channel).BanAgent(BanAgentRequest(id=wire.to_proto(agent)), timeout=TIMEOUT)


async def _evict(socket_path: Path, agent: SpiffeId) -> None:
    async with connect(socket_path) as channel:
        await AgentStub(channel).DeleteAgent(DeleteAgentRequest(id=wire.to_proto(agent)), timeout=TIMEOUT)
