"""`assay node purge`: which agents have been gone for too long, and what became of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import typer

from assay.cli.output import count_of, printable
from assay.spiffeid import SpiffeId
from assay.wire import spiffeid as wire
from assay_proto.spire.api.types.agent_pb2 import Agent

_LABEL = "SPIFFE ID         : "


def gone(agents: Iterable[Agent], now: datetime, expired_for: timedelta) -> list[SpiffeId]:
    """Those that may attest again and whose SVID expired longer ago than that."""
    return [
        wire.from_proto(agent.id)
        for agent in agents
        if agent.can_reattest and now.timestamp() - agent.x509svid_expires_at > expired_for.total_seconds()
    ]


def purge_dict(outcomes: Mapping[SpiffeId, str], *, dry_run: bool) -> dict[str, object]:
    """As SPIRE writes it: an error only where there is one."""
    return {
        "expired_agents": [
            {"agent_id": str(agent), "deleted": not dry_run and not error, **({"error": error} if error else {})}
            for agent, error in outcomes.items()
        ]
    }


def print_purge(outcomes: Mapping[SpiffeId, str], *, dry_run: bool) -> None:
    """In SPIRE's words."""
    if not outcomes:
        typer.echo("No agents to purge.")
        return
    typer.echo(f"Found {count_of(len(outcomes), 'expired agent', 'expired agents')}\n")
    if dry_run:
        typer.echo("\nAgents that can be purged:")
        _print_ids(outcomes)
        return
    purged = [agent for agent, error in outcomes.items() if not error]
    if purged:
        typer.echo("Agents purged:")
        _print_ids(purged)
    if len(purged) < len(outcomes):
        typer.echo("Agents not purged:")
        for agent, error in outcomes.items():
            if error:
                typer.echo(f"{_LABEL}{agent}\nError             : {printable(error)}")


def _print_ids(agents: Iterable[SpiffeId]) -> None:
    for agent in agents:
        typer.echo(f"{_LABEL}{agent}")
