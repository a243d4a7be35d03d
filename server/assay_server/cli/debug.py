"""`assay debug`: what the server says of itself."""

from datetime import UTC, datetime
from pathlib import Path

import typer

from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import print_message, printable
from assay.sockets import ADMIN_SOCKET
from assay.wire.service import debug_stub
from assay_proto.spire.api.server.debug.v1 import debug_pb2 as pb

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def group() -> None:
    """Show what the server says of itself."""


@app.command(epilog="Example: assay debug getinfo --output json")
def getinfo(*, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """Show for how long the server runs, how much it keeps, and its own SVID."""
    info = run(_get(socket_path))
    if output is Output.JSON:
        print_message(info)
        return
    typer.echo("Server Debug Info:")
    for label, value in (
        ("Uptime", _go_duration(info.uptime)),
        ("Registered Agents", info.agents_count),
        ("Registration Entries", info.entries_count),
        ("Federated Bundles", info.federated_bundles_count),
    ):
        typer.echo(f"  {label + ':':<24} {value}")
    if info.svid_chain:
        typer.echo("  SVID Chain:")
    for at, certificate in enumerate(info.svid_chain):
        _print_certificate(at, certificate)


def _print_certificate(at: int, certificate: pb.GetInfoResponse.Cert) -> None:
    named = certificate.HasField("id")
    spiffe_id = f"spiffe://{certificate.id.trust_domain}{certificate.id.path}" if named else "(none)"
    typer.echo(f"    [{at}] SPIFFE ID:  {spiffe_id}")
    typer.echo(f"        Subject:    {printable(certificate.subject)}")
    typer.echo(f"        Expires At: {_rfc3339(certificate.expires_at)}")


async def _get(socket_path: Path) -> pb.GetInfoResponse:
    async with connect(socket_path) as channel:
        return await debug_stub(channel).GetInfo(pb.GetInfoRequest(), timeout=TIMEOUT)


def _go_duration(seconds: int) -> str:
    """Whole seconds as Go prints them: 3600 is `1h0m0s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


def _rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
