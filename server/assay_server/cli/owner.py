"""`assay owner`: who answers for governed identities."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from assay.cli.admin import TIMEOUT
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, print_labelled, print_message, printable
from assay.sockets import ADMIN_SOCKET
from assay.wire.governance import owners_stub
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.cli.governed import LABEL_WIDTH, PAGE, ask, extended, moment
from assay_server.cli.principalform import stopped_words

if TYPE_CHECKING:
    from assay_proto.governance.v1.registration_pb2_grpc import OwnersAsyncStub

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Say who answers for principals, and who has left.")

OwnerArgument: TypeAlias = Annotated[str, typer.Argument(help="person:NAME or team:NAME.", metavar="OWNER")]


@app.command(epilog="Example: assay owner add person:alice@corp")
def add(
    owner: OwnerArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Make a person or team known that answers for principals."""
    made = ask(socket_path, owners_stub, lambda stub: stub.Add(pb.OwnerName(name=owner), timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(made)
    else:
        typer.echo(f"{made.name} can own principals")


@app.command(epilog="Example: assay owner leave person:alice@corp")
def leave(
    owner: OwnerArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Say that an owner has left: its principals are suspended, their tasks end, their bindings grant nothing."""
    left = ask(socket_path, owners_stub, lambda stub: stub.Leave(pb.OwnerName(name=owner), timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(left)
        return
    typer.echo(f"{left.owner.name} has left: {stopped_words(left.stopped, 'suspended')}")
    if left.pending:
        typer.echo(f"{count_of(left.pending, 'principal is', 'principals are')} being suspended now")


@app.command("return", epilog="Example: assay owner return person:alice@corp")
def come_back(
    owner: OwnerArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Say that an owner is back. Its principals stay suspended until each is resumed."""
    report = ask(socket_path, owners_stub, lambda stub: stub.Return(pb.OwnerName(name=owner), timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(report)
        return
    typer.echo(f"{report.owner.name} can own principals again")
    if suspended := report.principals.get("suspended", 0):
        still = count_of(suspended, "principal is", "principals are")
        typer.echo(f"{still} suspended still: `assay principal resume NAME` puts one back to work")


@app.command(epilog="Example: assay owner show person:alice@corp")
def show(
    owner: OwnerArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Show an owner, and how many principals it has."""
    report = ask(socket_path, owners_stub, lambda stub: stub.Get(pb.OwnerName(name=owner), timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(report)
        return
    numbers = ", ".join(f"{number} {state}" for state, number in sorted(report.principals.items()))
    print_labelled([*_rows(report.owner), ("Principals", numbers or "none")], LABEL_WIDTH)


@app.command("list", epilog="Example: assay owner list --state left")
def list_owners(
    *,
    state: Annotated[str, typer.Option(help="Only those who are active, or left.", metavar="STATE")] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """List owners."""

    async def all_of(stub: "OwnersAsyncStub") -> pb.ListOwnersResponse:
        found = pb.ListOwnersResponse()
        while extended(found, await stub.List(_page(state, found.next_page_token), timeout=TIMEOUT), "owners"):
            pass
        return found

    found = ask(socket_path, owners_stub, all_of)
    if output is Output.JSON:
        print_message(found)
        return
    typer.echo(f"Found {count_of(len(found.owners), 'owner', 'owners')}\n")
    for one in found.owners:
        print_labelled(_rows(one), LABEL_WIDTH)


def _page(state: str, token: str) -> pb.ListOwnersRequest:
    return pb.ListOwnersRequest(state=state, page_size=PAGE, page_token=token)


def _rows(owner: pb.Owner) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("Owner", printable(owner.name)),
        ("State", owner.state),
        ("Known since", moment(owner.created_at)),
    ]
    return [*rows, ("Left", moment(owner.left_at))] if owner.left_at else rows
