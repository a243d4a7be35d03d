"""`assay tool`: what acts on resources, and what that can do at worst."""

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
    help="Add, update, remove, show and list tools, with what each can do at worst.",
)

NameArgument: TypeAlias = Annotated[str, typer.Argument(help="Its name, which is an action in tasks.", metavar="NAME")]

CLASS = (
    "At worst: non_consequential, consequential_read, consequential_write, irreversible, external_commitment or "
    "privileged_administration."
)
RISK = "low, medium or high."


@app.command(
    epilog="Example: assay tool add crm.refund --resource https://crm.corp/mcp --action-class irreversible --risk high"
)
def add(
    name: NameArgument,
    *,
    resource: Annotated[str, typer.Option(help="What it acts on, of the catalogue.", metavar="URI")],
    action_class: Annotated[str, typer.Option("--action-class", help=CLASS, metavar="CLASS")],
    risk: Annotated[str, typer.Option(help=RISK, metavar="RISK")],
    exports: Annotated[bool, typer.Option("--exports", help="Takes data out of the tenant's systems.")] = False,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Add a tool to the catalogue."""
    made = pb.Tool(name=name, resource=resource, action_class=action_class, risk=risk, exports=exports)
    _print(ask(socket_path, catalogue_stub, lambda stub: stub.AddTool(made, timeout=TIMEOUT)), output)


@app.command(epilog="Example: assay tool update crm.refund --risk high")
def update(
    name: NameArgument,
    *,
    resource: Annotated[str | None, typer.Option(help="What it acts on, of the catalogue.", metavar="URI")] = None,
    action_class: Annotated[str | None, typer.Option("--action-class", help=CLASS, metavar="CLASS")] = None,
    risk: Annotated[str | None, typer.Option(help=RISK, metavar="RISK")] = None,
    exports: Annotated[
        bool | None, typer.Option("--exports/--no-exports", help="Takes data out of the tenant's systems.")
    ] = None,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Change what is given of a tool. Policy sees it from the next decision on."""
    given: dict[str, object] = {"resource": resource, "action_class": action_class, "risk": risk, "exports": exports}
    tool = pb.Tool(
        name=name, resource=resource or "", action_class=action_class or "", risk=risk or "", exports=bool(exports)
    )
    request = pb.UpdateToolRequest(tool=tool, fields=named_fields(given))
    _print(ask(socket_path, catalogue_stub, lambda stub: stub.UpdateTool(request, timeout=TIMEOUT)), output)


@app.command(epilog="Example: assay tool remove crm.refund")
def remove(
    name: NameArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Remove a tool; refused, naming them, while principals or live tasks name it."""
    gone = ask(socket_path, catalogue_stub, lambda stub: stub.RemoveTool(pb.Named(name=name), timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(gone)
    else:
        typer.echo(f"Removed {printable(gone.name)}")


@app.command(epilog="Example: assay tool show crm.refund")
def show(
    name: NameArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Show a tool."""
    _print(ask(socket_path, catalogue_stub, lambda stub: stub.GetTool(pb.Named(name=name), timeout=TIMEOUT)), output)


@app.command("list", epilog="Example: assay tool list --resource https://crm.corp/mcp")
def list_tools(
    *,
    resource: Annotated[str, typer.Option(help="Only those that act on this.", metavar="URI")] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """List tools."""

    async def all_of(stub: "CatalogueAsyncStub") -> pb.ListToolsResponse:
        found = pb.ListToolsResponse()
        more = True
        while more:
            request = pb.ListToolsRequest(resource=resource, page_size=PAGE, page_token=found.next_page_token)
            more = extended(found, await stub.ListTools(request, timeout=TIMEOUT), "tools")
        return found

    found = ask(socket_path, catalogue_stub, all_of)
    if output is Output.JSON:
        print_message(found)
        return
    typer.echo(f"Found {count_of(len(found.tools), 'tool', 'tools')}\n")
    for one in found.tools:
        print_labelled(_rows(one), LABEL_WIDTH)


def _print(one: pb.Tool, output: Output) -> None:
    if output is Output.JSON:
        print_message(one)
    else:
        print_labelled(_rows(one), LABEL_WIDTH)


def _rows(one: pb.Tool) -> list[tuple[str, object]]:
    return [
        ("Tool", one.name),
        ("Resource", one.resource),
        ("Action class", one.action_class),
        ("Risk", one.risk),
        ("Exports", "true" if one.exports else "false"),
    ]
