"""`assay resource`: what may be acted on."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from assay.cli.admin import TIMEOUT
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, print_labelled, print_message, printable
from assay.sockets import ADMIN_SOCKET
from assay.wire.governance import catalogue_stub
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.cli.governed import LABEL_WIDTH, PAGE, ask, extended, listed, named_fields

if TYPE_CHECKING:
    from assay_proto.governance.v1.registration_pb2_grpc import CatalogueAsyncStub

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Add, update, remove, show and list what may be acted on."
)

NameArgument: TypeAlias = Annotated[
    str, typer.Argument(help="Its URI, which is the audience of tokens for it.", metavar="URI")
]

SENSITIVITY = "public, internal, confidential or restricted."


@app.command(
    epilog="Example: assay resource add https://crm.corp/mcp --env prod --tenant acme --sensitivity confidential"
)
def add(
    name: NameArgument,
    *,
    environment: Annotated[
        str, typer.Option("--env", "--environment", help="Where it is, such as prod.", metavar="NAME")
    ],
    sensitivity: Annotated[str, typer.Option(help=SENSITIVITY, metavar="WORD")],
    tenant: Annotated[str, typer.Option(help="Whose it is; everybody's if not given.", metavar="NAME")] = "",
    data_class: Annotated[
        list[str] | None, typer.Option("--data-class", help="Data it holds; more than once.", metavar="NAME")
    ] = None,
    verifier: Annotated[
        list[str] | None, typer.Option(help="SPIFFE ID of a workload that guards it; more than once.", metavar="ID")
    ] = None,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Add a system or data set to the catalogue."""
    made = pb.Resource(
        uri=name,
        environment=environment,
        tenant=tenant,
        sensitivity=sensitivity,
        data_classes=listed(data_class),
        verifiers=listed(verifier),
    )
    _print(ask(socket_path, catalogue_stub, lambda stub: stub.AddResource(made, timeout=TIMEOUT)), output)


@app.command(epilog="Example: assay resource update https://crm.corp/mcp --sensitivity restricted")
def update(
    name: NameArgument,
    *,
    environment: Annotated[
        str | None, typer.Option("--env", "--environment", help="Where it is, such as prod.", metavar="NAME")
    ] = None,
    sensitivity: Annotated[str | None, typer.Option(help=SENSITIVITY, metavar="WORD")] = None,
    tenant: Annotated[str | None, typer.Option(help='Whose it is; "" for everybody\'s.', metavar="NAME")] = None,
    data_class: Annotated[
        list[str] | None, typer.Option("--data-class", help="Data it holds; more than once.", metavar="NAME")
    ] = None,
    verifier: Annotated[
        list[str] | None, typer.Option(help="SPIFFE ID of a workload that guards it; more than once.", metavar="ID")
    ] = None,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Change what is given of a resource; data classes and verifiers are replaced whole."""
    given: dict[str, object] = {
        "environment": environment,
        "sensitivity": sensitivity,
        "tenant": tenant,
        "data_classes": data_class,
        "verifiers": verifier,
    }
    resource = pb.Resource(
        uri=name,
        environment=environment or "",
        sensitivity=sensitivity or "",
        tenant=tenant or "",
        data_classes=listed(data_class),
        verifiers=listed(verifier),
    )
    request = pb.UpdateResourceRequest(resource=resource, fields=named_fields(given))
    _print(ask(socket_path, catalogue_stub, lambda stub: stub.UpdateResource(request, timeout=TIMEOUT)), output)


@app.command(epilog="Example: assay resource remove https://crm.corp/mcp")
def remove(
    name: NameArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Remove a resource; refused, naming them, while tools act on it."""
    gone = ask(socket_path, catalogue_stub, lambda stub: stub.RemoveResource(pb.Named(name=name), timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(gone)
    else:
        typer.echo(f"Removed {printable(gone.uri)}")


@app.command(epilog="Example: assay resource show https://crm.corp/mcp")
def show(
    name: NameArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Show a resource."""
    _print(
        ask(socket_path, catalogue_stub, lambda stub: stub.GetResource(pb.Named(name=name), timeout=TIMEOUT)), output
    )


@app.command("list", epilog="Example: assay resource list --tenant acme")
def list_resources(
    *,
    tenant: Annotated[str, typer.Option(help="Only this tenant's.", metavar="NAME")] = "",
    environment: Annotated[str, typer.Option("--env", "--environment", help="Only those there.", metavar="NAME")] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """List resources."""

    async def all_of(stub: "CatalogueAsyncStub") -> pb.ListResourcesResponse:
        found = pb.ListResourcesResponse()
        more = True
        while more:
            request = pb.ListResourcesRequest(
                tenant=tenant, environment=environment, page_size=PAGE, page_token=found.next_page_token
            )
            more = extended(found, await stub.ListResources(request, timeout=TIMEOUT), "resources")
        return found

    found = ask(socket_path, catalogue_stub, all_of)
    if output is Output.JSON:
        print_message(found)
        return
    typer.echo(f"Found {count_of(len(found.resources), 'resource', 'resources')}\n")
    for one in found.resources:
        print_labelled(_rows(one), LABEL_WIDTH)


def _print(one: pb.Resource, output: Output) -> None:
    if output is Output.JSON:
        print_message(one)
    else:
        print_labelled(_rows(one), LABEL_WIDTH)


def _rows(one: pb.Resource) -> list[tuple[str, object]]:
    return [
        ("Resource", one.uri),
        ("Environment", one.environment),
        ("Tenant", one.tenant or "(everybody's)"),
        ("Sensitivity", one.sensitivity),
        ("Data classes", ", ".join(one.data_classes) or "(none)"),
        ("Verifiers", ", ".join(one.verifiers) or "(none)"),
    ]
