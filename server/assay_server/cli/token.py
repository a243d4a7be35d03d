"""`assay token`: join tokens."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import print_message
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import SpiffeId
from assay.wire import spiffeid as wire
from assay.wire.service import agent_stub
from assay_proto.spire.api.server.agent.v1.agent_pb2 import CreateJoinTokenRequest
from assay_proto.spire.api.types.jointoken_pb2 import JoinToken

DEFAULT_TTL = 600
MAX_TTL = 2**31 - 1

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make join tokens for agents."""


@app.command(epilog="Example: assay token generate --ttl 3600 --spiffe-id spiffe://example.org/build-machines")
def generate(
    *,
    ttl: Annotated[
        int, typer.Option(help="How long the token can be used, in seconds.", min=1, max=MAX_TTL)
    ] = DEFAULT_TTL,
    spiffe_id: Annotated[
        str, typer.Option("--spiffe-id", help="A further SPIFFE ID for the agent that uses the token.", metavar="ID")
    ] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Make a token with which one agent can attest once."""
    request = CreateJoinTokenRequest(ttl=ttl)
    if spiffe_id:
        request.agent_id.CopyFrom(wire.to_proto(SpiffeId.parse(spiffe_id)))
    token = run(_create(socket_path, request))
    if output is Output.JSON:
        print_message(token)
        return
    typer.echo(f"Token: {token.value}")
    if not spiffe_id:
        typer.echo("Warning: Missing SPIFFE ID.")


async def _create(socket_path: Path, request: CreateJoinTokenRequest) -> JoinToken:
    async with connect(socket_path) as channel:
        return await agent_stub(channel).CreateJoinToken(request, timeout=TIMEOUT)
