"""`assay grant`: privileges that humans, or machines, hold; no grant is for both."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from assay.cli.admin import TIMEOUT
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, print_labelled, print_message, printable
from assay.sockets import ADMIN_SOCKET
from assay.wire.governance import catalogue_stub
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.cli.governed import LABEL_WIDTH, PAGE, ask, extended, named_fields

if TYPE_CHECKING:
    from assay_proto.governance.v1.registration_pb2_grpc import CatalogueAsyncStub

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Add, update, remove, show and list what humans, or machines, may be granted.",
)

NameArgument: TypeAlias = Annotated[str, typer.Argument(help="Its name, as policies call it.", metavar="NAME")]

HOLDER = "For whom: human or machine."


@app.command(epilog="Example: assay grant add billing-operator --holder machine")
def add(
    name: NameArgument,
    *,
    holder: Annotated[str, typer.Option(help=HOLDER, metavar="HOLDER")],
    administers: Annotated[bool, typer.Option("--administers", help="An administrator's privilege.")] = False,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Add a grant to the catalogue, for humans or for machines."""
    made = pb.Grant(name=name, holder=holder, administers=administers)
    _print(ask(socket_path, catalogue_stub, lambda stub: stub.AddGrant(made, timeout=TIMEOUT)), output)


@app.command(epilog="Example: assay grant update billing-operator --no-administers")
def update(
    name: NameArgument,
    *,
    holder: Annotated[str | None, typer.Option(help=HOLDER, metavar="HOLDER")] = None,
    administers: Annotated[
        bool | None, typer.Option("--administers/--no-administers", help="An administrator's privilege.")
    ] = None,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Change what is given of a grant; refused while somebody holds it who then could not."""
    given: dict[str, object] = {"holder": holder, "administers": administers}
    grant = pb.Grant(name=name, holder=holder or "", administers=bool(administers))
    request = pb.UpdateGrantRequest(grant=grant, fields=named_fields(given))
    _print(ask(socket_path, catalogue_stub, lambda stub: stub.UpdateGrant(request, timeout=TIMEOUT)), output)


@app.command(epilog="Example: assay grant remove billing-operator")
def remove(
    name: NameArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Remove a grant; refused, naming them, while principals hold it."""
    gone = ask(socket_path, catalogue_stub, lambda stub: stub.RemoveGrant(pb.Named(name=name), timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(gone)
    else:
        typer.echo(f"Removed {printable(gone.name)}")


@app.command(epilog="Example: assay grant show billing-operator")
def show(
    name: NameArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Show a grant."""
    _print(ask(socket_path, catalogue_stub, lambda stub: stub.GetGrant(pb.Named(name=name), timeout=TIMEOUT)), output)


@app.command("list", epilog="Example: assay grant list --holder human")
def list_grants(
    *,
    holder: Annotated[str, typer.Option(help="Only those for humans, or machines.", metavar="HOLDER")] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """List grants."""

    async def all_of(stub: "CatalogueAsyncStub") -> pb.ListGrantsResponse:
        found = pb.ListGrantsResponse()
        more = True
        while more:
            request = pb.ListGrantsRequest(holder=holder, page_size=PAGE, page_token=found.next_page_token)
            more = extended(found, await stub.ListGrants(request, timeout=TIMEOUT), "grants")
        return found

    found = ask(socket_path, catalogue_stub, all_of)
    if output is Output.JSON:
        print_message(found)
        return
    typer.echo(f"Found {count_of(len(found.grants), 'grant', 'grants')}\n")
    for one in found.grants:
        print_labelled(_rows(one), LABEL_WIDTH)


def _print(one: pb.Grant, output: Output) -> None:
    if output is Output.JSON:
        print_message(one)
    else:
        print_labelled(_rows(one), LABEL_WIDTH)


def _rows(one: pb.Grant) -> list[tuple[str, object]]:
    return [
        ("Grant", one.name),
        ("Holder", one.holder),
        ("Administers", "true" if one.administers else "false"),
    ]
