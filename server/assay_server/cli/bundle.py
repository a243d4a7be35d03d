"""`assay bundle`: the trust bundle."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.bundle import jwks, pem
from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import print_message
from assay.sockets import ADMIN_SOCKET
from assay.wire import bundle as wire
from assay.wire.service import bundle_stub
from assay_proto.spire.api.server.bundle.v1.bundle_pb2 import GetBundleRequest
from assay_proto.spire.api.types.bundle_pb2 import Bundle

app = typer.Typer(add_completion=False, no_args_is_help=True)


class Format(StrEnum):
    """How to write a bundle: CA certificates alone, or all of it as a SPIFFE bundle."""

    PEM = "pem"
    SPIFFE = "spiffe"


@app.callback()
def group() -> None:
    """Show the trust bundle."""


@app.command(epilog="Example: assay bundle show > bundle.pem")
def show(
    *,
    form: Annotated[Format, typer.Option("--format", help="Of the pretty output.")] = Format.PEM,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Print the server's own trust bundle, for agents to bootstrap with."""
    message = run(_get(socket_path))
    if output is Output.JSON:
        print_message(message)
        return
    bundle = wire.from_proto(message)
    if form is Format.PEM:
        typer.echo(pem.emit(bundle.x509_authorities).decode(), nl=False)
    else:
        typer.echo(jwks.emit(bundle).decode())


async def _get(socket_path: Path) -> Bundle:
    async with connect(socket_path) as channel:
        return await bundle_stub(channel).GetBundle(GetBundleRequest(), timeout=TIMEOUT)
