"""`assay principal`: governed identities, how they are recognised, and what of them is live."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from assay.cli.admin import TIMEOUT
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, print_message, printable
from assay.cli.taking import taking
from assay.sockets import ADMIN_SOCKET
from assay.wire.governance import principals_stub
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.cli.governed import PAGE, ask, extended
from assay_server.cli.principalflags import PrincipalFlags, WantedFlags, cleared
from assay_server.cli.principalform import (
    doubt_words,
    print_binding,
    print_principal,
    print_summary,
    standing_words,
    stopped_words,
)

if TYPE_CHECKING:
    from assay_proto.governance.v1.registration_pb2_grpc import PrincipalsAsyncStub

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Register, complete, bind, activate, suspend and retire governed identities, and list what is there.",
)

NameArgument: TypeAlias = Annotated[str, typer.Argument(help="The principal's name.", metavar="NAME")]
NeededReasonOption: TypeAlias = Annotated[str, typer.Option("--reason", help="Why; needed.", metavar="TEXT")]
ReasonOption: TypeAlias = Annotated[str, typer.Option(help="Why, for whoever asks later.", metavar="TEXT")]


@app.command(
    epilog="Example: assay principal register support-bot --actor-type ai_agent --owner person:alice@corp "
    '--purpose "answer tickets" --env prod --tenant acme'
)
@taking(PrincipalFlags)
def register(
    flags: PrincipalFlags,
    *,
    name: NameArgument,
    actor_type: Annotated[
        str, typer.Option("--actor-type", help="human, service, machine or ai_agent; for ever.", metavar="TYPE")
    ],
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Register a governed identity. It is staged, and gets nothing, until it is activated."""
    principal = flags.principal(name)
    principal.actor_type = actor_type
    standing = ask(socket_path, principals_stub, lambda stub: stub.Register(principal, timeout=TIMEOUT))
    _print_standing(standing, output)


@app.command(epilog="Example: assay principal update support-bot --heartbeat 30s --trigger task_completed,owner_left")
@taking(PrincipalFlags)
def update(
    flags: PrincipalFlags,
    *,
    name: NameArgument,
    clear: Annotated[
        list[str] | None, typer.Option(help="Empty this, such as tools; more than once.", metavar="FIELD")
    ] = None,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Change what is given; lists are replaced whole. An active principal stays complete, or the change is refused."""
    emptied, fields = cleared(clear), flags.fields()
    if both := set(emptied) & set(fields):
        raise typer.BadParameter(f"{min(both)} is given as well", param_hint="--clear")
    if not (fields := [*fields, *emptied]):
        raise typer.BadParameter("say what to change, with the flags of `assay principal register`", param_hint="FLAGS")
    request = pb.UpdateRequest(principal=flags.principal(name), fields=fields)
    standing = ask(socket_path, principals_stub, lambda stub: stub.Update(request, timeout=TIMEOUT))
    _print_standing(standing, output)


@app.command(epilog="Example: assay principal activate support-bot")
def activate(
    name: NameArgument,
    *,
    reason: ReasonOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Put a staged principal to work; refused, naming what is missing, until it is complete."""
    _move(name, reason, lambda stub, request: stub.Activate(request, timeout=TIMEOUT), socket_path, output)


@app.command(epilog='Example: assay principal suspend support-bot --reason "looks at what it should not"')
def suspend(
    name: NameArgument,
    *,
    reason: ReasonOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Stop an active principal until it is resumed: its SVIDs are withdrawn, its tasks end."""
    _move(name, reason, lambda stub, request: stub.Suspend(request, timeout=TIMEOUT), socket_path, output)


@app.command(epilog="Example: assay principal resume support-bot")
def resume(
    name: NameArgument,
    *,
    reason: ReasonOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Put a suspended principal back to work. Tasks that ended stay so."""
    _move(name, reason, lambda stub, request: stub.Resume(request, timeout=TIMEOUT), socket_path, output)


@app.command(epilog='Example: assay principal risk support-bot --score 70 --reason "reads tickets of other tenants"')
def risk(
    name: NameArgument,
    *,
    score: Annotated[int, typer.Option(help="How doubtful it is, 0 to 100.", min=0, max=100)],
    reason: NeededReasonOption,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Say how doubtful a principal is: policy is asked with that from now on."""
    request = pb.RiskRequest(name=name, score=score, reason=reason)
    _print_doubt(ask(socket_path, principals_stub, lambda stub: stub.SetRisk(request, timeout=TIMEOUT)), output)


@app.command(epilog='Example: assay principal quarantine support-bot --reason "unusual exports"')
def quarantine(
    name: NameArgument,
    *,
    reason: NeededReasonOption,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Refuse every task, token and call of a principal until it is released; its X.509-SVIDs stay."""
    request = pb.ChangeRequest(name=name, reason=reason)
    _print_doubt(ask(socket_path, principals_stub, lambda stub: stub.Quarantine(request, timeout=TIMEOUT)), output)


@app.command(epilog='Example: assay principal release support-bot --reason "it was a test"')
def release(
    name: NameArgument,
    *,
    reason: NeededReasonOption,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Take a principal out of quarantine. Tasks that ended stay so."""
    request = pb.ChangeRequest(name=name, reason=reason)
    _print_doubt(ask(socket_path, principals_stub, lambda stub: stub.Release(request, timeout=TIMEOUT)), output)


@app.command(epilog='Example: assay principal retire support-bot --reason "replaced by support-bot-2"')
def retire(
    name: NameArgument,
    *,
    reason: ReasonOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Stop a principal for ever: bindings are deleted, tasks ended, credentials revoked; its name stays taken."""
    _move(name, reason, lambda stub, request: stub.Retire(request, timeout=TIMEOUT), socket_path, output)


@app.command(epilog="Example: assay principal show support-bot")
def show(
    name: NameArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Show a principal with its bindings, last instances and last events."""
    report = ask(socket_path, principals_stub, lambda stub: stub.Get(pb.PrincipalName(name=name), timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(report)
    else:
        print_principal(report)


@app.command("list", epilog="Example: assay principal list --unused 30d --state active")
@taking(WantedFlags)
def list_principals(
    flags: WantedFlags, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """List principals with their owners, live credentials and last use."""

    async def all_of(stub: "PrincipalsAsyncStub") -> pb.ListPrincipalsResponse:
        found = pb.ListPrincipalsResponse()
        while extended(
            found, await stub.List(flags.request(PAGE, found.next_page_token), timeout=TIMEOUT), "principals"
        ):
            pass
        return found

    found = ask(socket_path, principals_stub, all_of)
    if output is Output.JSON:
        print_message(found)
        return
    typer.echo(f"Found {count_of(len(found.principals), 'principal', 'principals')}\n")
    for one in found.principals:
        print_summary(one)


@app.command(
    epilog="Example: assay principal bind support-bot --parent-id spiffe://example.org/spire/agent/x509pop/NODE "
    "--selector unix:user:support --instance-from unix:process"
)
def bind(
    name: NameArgument,
    *,
    parent_id: Annotated[str, typer.Option("--parent-id", help="Under which agent or node.", metavar="ID")],
    selector: Annotated[
        list[str], typer.Option(help="type:value of the workload; more than once.", metavar="SELECTOR")
    ],
    instance_from: Annotated[
        str,
        typer.Option(
            "--instance-from",
            help="The selector that tells running copies from each other, such as unix:process.",
            metavar="TYPE:KEY",
        ),
    ] = "",
    x509_svid_ttl: Annotated[int, typer.Option(help="In seconds; 0 for the server's default.", min=0)] = 0,
    hint: Annotated[str, typer.Option(help="What the SVID is for, told to workloads that have several.")] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Say by what a principal is recognised. That is a registration entry, with the ID of the principal's template.

    With --instance-from each running copy has an ID of its own below that.
    """
    request = pb.BindRequest(
        principal=name,
        parent_id=parent_id,
        selectors=selector,
        instance_from=instance_from,
        x509_svid_ttl=x509_svid_ttl,
        hint=hint,
    )
    _print_binding(ask(socket_path, principals_stub, lambda stub: stub.Bind(request, timeout=TIMEOUT)), output)


@app.command(epilog="Example: assay principal unbind support-bot --entry-id 01997b51-0c1f-7b3c-8f5e-0d4f6f3f2c11")
def unbind(
    name: NameArgument,
    *,
    entry_id: Annotated[str, typer.Option("--entry-id", help="The binding's entry.", metavar="ID")],
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Delete a binding: what it recognised has that identity no longer."""
    request = pb.UnbindRequest(principal=name, entry_id=entry_id)
    gone = ask(socket_path, principals_stub, lambda stub: stub.Unbind(request, timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(gone)
    else:
        typer.echo(f"Deleted binding {gone.entry_id} of {printable(gone.principal)}")


def _print_standing(standing: pb.Standing, output: Output) -> None:
    if output is Output.JSON:
        print_message(standing)
    else:
        typer.echo(standing_words(standing.missing, standing.principal.state))


def _print_doubt(principal: pb.Principal, output: Output) -> None:
    if output is Output.JSON:
        print_message(principal)
    else:
        typer.echo(", ".join([principal.state, *doubt_words(principal)]))


def _print_binding(binding: pb.Binding, output: Output) -> None:
    if output is Output.JSON:
        print_message(binding)
    else:
        print_binding(binding)


def _move(
    name: str,
    reason: str,
    call: Callable[["PrincipalsAsyncStub", pb.ChangeRequest], Awaitable[pb.ChangeResponse]],
    socket_path: Path,
    output: Output,
) -> None:
    request = pb.ChangeRequest(name=name, reason=reason)
    changed = ask(socket_path, principals_stub, lambda stub: call(stub, request))
    if output is Output.JSON:
        print_message(changed)
    elif changed.stopped.principals:
        typer.echo(f"{changed.principal.state}: {stopped_words(changed.stopped, changed.principal.state)}")
    else:
        typer.echo(changed.principal.state)
