"""`assay node`: attested agents. SPIRE's noun is `agent`, which here runs one."""

from datetime import timedelta
from typing import Annotated

import typer

from assay.cli.admin import run
from assay.cli.options import AdminSocketOption, Output, OutputOption, duration
from assay.cli.output import count_of, go_time, print_json, print_labelled, print_message, printable
from assay.cli.taking import taking
from assay.clock import SystemClock
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import SpiffeId
from assay.wire import spiffeid as wire
from assay_proto.spire.api.server.agent.v1.agent_pb2 import CountAgentsRequest, ListAgentsRequest
from assay_proto.spire.api.types.agent_pb2 import Agent
from assay_server.cli import nodeclient as client
from assay_server.cli.nodefilter import NodeFilterFlags
from assay_server.cli.nodepurge import gone, print_purge, purge_dict

LABEL_WIDTH = 18
DEFAULT_EXPIRED_FOR = "720h"

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="List, show, count, ban, evict and purge attested agents."
)

AgentIdOption = Annotated[str, typer.Option("--spiffe-id", help="The agent's SPIFFE ID.", metavar="ID")]


@app.command("list", epilog="Example: assay node list --attestation-type x509pop --not-banned")
@taking(NodeFilterFlags)
def list_nodes(
    flags: NodeFilterFlags, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """List attested agents."""
    found = run(client.find(socket_path, flags.where(ListAgentsRequest.Filter())))
    if output is Output.JSON:
        print_message(found)
    elif not found.agents:
        typer.echo("No attested agents found")
    else:
        typer.echo(f"Found {count_of(len(found.agents), 'attested agent', 'attested agents')}:\n")
        for agent in found.agents:
            print_labelled(_rows(agent), LABEL_WIDTH)


@app.command(epilog="Example: assay node count --can-reattest")
@taking(NodeFilterFlags)
def count(
    flags: NodeFilterFlags, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Count attested agents."""
    answer = run(client.count(socket_path, flags.where(CountAgentsRequest.Filter())))
    if output is Output.JSON:
        print_message(answer)
    else:
        typer.echo(count_of(answer.count, "attested agent", "attested agents"))


@app.command(epilog="Example: assay node show --spiffe-id spiffe://example.org/spire/agent/x509pop/NODE")
def show(
    *,
    spiffe_id: AgentIdOption,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Show one agent, with the selectors that its node has."""
    agent = run(client.get(socket_path, SpiffeId.parse(spiffe_id)))
    if output is Output.JSON:
        print_message(agent)
        return
    typer.echo("Found an attested agent given its SPIFFE ID\n")
    print_labelled(_rows(agent), LABEL_WIDTH)
    for one in agent.selectors:
        typer.echo(f"{'Selectors':<{LABEL_WIDTH}}: {printable(f'{one.type}:{one.value}')}")


@app.command(epilog="Example: assay node ban --spiffe-id spiffe://example.org/spire/agent/x509pop/NODE")
def ban(
    *,
    spiffe_id: AgentIdOption,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Shut an agent out: its SVID is refused from now on, and it cannot attest again until it is evicted."""
    run(client.ban(socket_path, SpiffeId.parse(spiffe_id)))
    _print_done("Agent banned successfully", output)


@app.command(epilog="Example: assay node evict --spiffe-id spiffe://example.org/spire/agent/x509pop/NODE")
def evict(
    *,
    spiffe_id: AgentIdOption,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Forget an agent: its SVID is refused from now on, and it has to attest again."""
    run(client.evict(socket_path, SpiffeId.parse(spiffe_id)))
    _print_done("Agent evicted successfully", output)


@app.command(epilog="Example: assay node purge --expired-for 168h --dry-run")
def purge(
    *,
    expired_for: Annotated[
        str, typer.Option(help="How long the agent's SVID must have been expired.", metavar="DURATION")
    ] = DEFAULT_EXPIRED_FOR,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which would be forgotten, and do nothing.")] = False,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Forget agents that have long been gone and could attest again, a ban of theirs too; status 1 if one stays.

    Agents that could not attest again, such as those with a join token, are left alone.
    """
    limit = timedelta(seconds=float(duration(expired_for, "--expired-for")))
    where = NodeFilterFlags(can_reattest=True).where(ListAgentsRequest.Filter())
    agents = gone(run(client.find(socket_path, where)).agents, SystemClock().now(), limit)
    outcomes = dict.fromkeys(agents, "") if dry_run or not agents else run(client.evict_each(socket_path, agents))
    if output is Output.JSON:
        print_json(purge_dict(outcomes, dry_run=dry_run))
    else:
        print_purge(outcomes, dry_run=dry_run)
    if any(outcomes.values()):
        raise typer.Exit(1)


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
