"""`assay bundle`: trust bundles, the server's own and those of other trust domains."""

from enum import StrEnum
from typing import Annotated

import typer

from assay.cli.admin import run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, print_message
from assay.sockets import ADMIN_SOCKET
from assay_proto.spire.api.types.bundle_pb2 import Bundle
from assay_server.cli import bundleclient as client
from assay_server.cli.bundleform import Format, parse_bundle, print_bundle, print_heading, read_input
from assay_server.cli.outcome import print_outcome

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show, list, set, delete and count trust bundles.")

FormatOption = Annotated[Format, typer.Option("--format", help="Of the pretty output.")]
IdOption = Annotated[str, typer.Option("--id", help="The trust domain.", metavar="NAME")]


class Mode(StrEnum):
    """What becomes of entries that federate with the trust domain whose bundle goes."""

    RESTRICT = "restrict"
    DELETE = "delete"
    DISSOCIATE = "dissociate"


@app.command(epilog="Example: assay bundle show > bundle.pem")
def show(
    *,
    form: FormatOption = Format.PEM,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Print the server's own trust bundle, for agents to bootstrap with."""
    message = run(client.own(socket_path))
    if output is Output.JSON:
        print_message(message)
    else:
        print_bundle(message, form)


@app.command("list", epilog="Example: assay bundle list --id other.example --format spiffe > other.json")
def list_bundles(
    *,
    trust_domain: Annotated[
        str, typer.Option("--id", help="Only that trust domain's, without a heading.", metavar="NAME")
    ] = "",
    form: FormatOption = Format.PEM,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Print the bundles of other trust domains that the server has."""
    found = run(client.get(socket_path, trust_domain)) if trust_domain else run(client.find(socket_path))
    if output is Output.JSON:
        print_message(found)
    elif isinstance(found, Bundle):
        print_bundle(found, form)
    else:
        for at, bundle in enumerate(found.bundles):
            if at:
                typer.echo("")
            print_heading(bundle)
            print_bundle(bundle, form)


@app.command("set", epilog="Example: assay bundle set --id other.example --format spiffe --path other.json")
def set_bundle(
    *,
    trust_domain: IdOption,
    path: Annotated[str, typer.Option(help="Where the bundle is; standard input if not given.", metavar="FILE")] = "",
    form: Annotated[Format, typer.Option("--format", help="Of the bundle.")] = Format.PEM,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Keep another trust domain's bundle, in place of the one there is."""
    answer = run(client.put(socket_path, parse_bundle(read_input(path), form, trust_domain)))
    print_outcome(answer, "bundle set.", "failed to set federated bundle", output)


@app.command(epilog="Example: assay bundle delete --id other.example --mode dissociate")
def delete(
    *,
    trust_domain: IdOption,
    mode: Annotated[
        Mode, typer.Option(help="Entries that federate with it keep it, go with it, or federate with it no more.")
    ] = Mode.RESTRICT,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Forget another trust domain's bundle."""
    answer = run(client.delete(socket_path, trust_domain, mode.name))
    print_outcome(answer, "bundle deleted.", f'failed to delete federated bundle "{trust_domain}"', output)


@app.command(epilog="Example: assay bundle count --output json")
def count(*, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """Count bundles, the server's own with them."""
    answer = run(client.count(socket_path))
    if output is Output.JSON:
        print_message(answer)
    else:
        typer.echo(count_of(answer.count, "bundle", "bundles"))
