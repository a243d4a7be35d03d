"""`assay jwt`: JWT-SVIDs for those that no agent serves."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import print_json, print_message
from assay.clock import SystemClock
from assay.errors import UnavailableError
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import SpiffeId
from assay.wire import spiffeid as wire
from assay.wire.service import svid_stub
from assay_proto.spire.api.server.svid.v1.svid_pb2 import MintJWTSVIDRequest, MintJWTSVIDResponse
from assay_server.cli.mint import SpiffeIdOption, TtlOption, save_private, warn_if_capped, whole_seconds

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def group() -> None:
    """Mint JWT-SVIDs."""


@app.command(epilog="Example: assay jwt mint --spiffe-id spiffe://example.org/web --audience db --ttl 5m")
def mint(
    *,
    spiffe_id: SpiffeIdOption,
    audience: Annotated[list[str], typer.Option(help="Whom the token is for; more than once.", metavar="NAME")],
    ttl: TtlOption = "0",
    write: Annotated[
        Path | None, typer.Option(help="Write the token to this file, and do not print it.", metavar="FILE")
    ] = None,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Have the server sign a JWT-SVID. Whoever has the token is that identity until it expires; nothing renews it."""
    subject = wire.to_proto(SpiffeId.parse(spiffe_id))
    seconds = whole_seconds(ttl)
    asked = SystemClock().now()
    answer = run(_mint(socket_path, MintJWTSVIDRequest(id=subject, audience=audience, ttl=seconds)))
    warn_if_capped("JWT-SVID", seconds, answer.svid.expires_at, asked)
    if write is not None:
        save_private(write, answer.svid.token.encode())
        if output is Output.JSON:
            print_json({"jwt_svid_path": str(write)})
        else:
            typer.echo(f"JWT-SVID written to {write}")
    elif output is Output.JSON:
        print_message(answer)
    else:
        typer.echo(answer.svid.token)


async def _mint(socket_path: Path, request: MintJWTSVIDRequest) -> MintJWTSVIDResponse:
    async with connect(socket_path) as channel:
        answer = await svid_stub(channel).MintJWTSVID(request, timeout=TIMEOUT)
    if not answer.svid.token:
        raise UnavailableError("the server answered without a token")
    return answer
