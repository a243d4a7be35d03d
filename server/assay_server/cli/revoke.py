"""`assay revoke`: tasks and credentials end before their time, all of a kind at once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import typer

from assay.cli.admin import connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption, duration
from assay.cli.output import count_of, print_message
from assay.cli.taking import Flags, taking
from assay.sockets import ADMIN_SOCKET
from assay.wire.service import Stub
from assay_proto.revocation.v1 import revocation_pb2 as pb

if TYPE_CHECKING:  # exists in the stubs only
    from assay_proto.revocation.v1.revocation_pb2_grpc import RevocationsAsyncStub

LONG = 600.0
"""Seconds: much is revoked in slices."""

T = TypeVar("T")

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class TargetFlags(Flags):
    """What is revoked: one of these."""

    task: Annotated[str, typer.Option(help="A task, and those below it.", metavar="ID")] = ""
    principal: Annotated[str, typer.Option(help="All tasks and credentials of a principal.", metavar="NAME")] = ""
    instance: Annotated[str, typer.Option(help="All of one running copy, by SPIFFE ID.", metavar="ID")] = ""
    owner: Annotated[str, typer.Option(help="All that a person or team answers for.", metavar="OWNER")] = ""
    tool: Annotated[str, typer.Option(help="All tasks that have this tool.", metavar="NAME")] = ""
    tenant: Annotated[str, typer.Option(help="All of a tenant.", metavar="NAME")] = ""
    credential: Annotated[str, typer.Option(help="One credential, by its jti; its task goes on.", metavar="ID")] = ""

    def target(self) -> pb.Target:
        """The one that is given.

        Raises:
            typer.BadParameter: none is, or several are.
        """
        given = [(one.name, getattr(self, one.name)) for one in fields(self) if getattr(self, one.name)]
        if len(given) != 1:
            names = ", ".join(f"--{one.name}" for one in fields(self))
            raise typer.BadParameter(f"give one of {names}", param_hint="revoke")
        kind, value = given[0]
        return pb.Target(kind=kind, value=value)


@app.command(epilog="Example: assay revoke --owner person:alice@corp --reason left")
@taking(TargetFlags)
def revoke(
    flags: TargetFlags,
    *,
    reason: Annotated[str, typer.Option(help="Why, as ends and events will say it; needed.", metavar="TEXT")] = "",
    suspend: Annotated[
        bool,
        typer.Option("--suspend", help="Suspend the principal, or the owner's principals, so none opens tasks anew."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would end, and change nothing.")] = False,
    wait: Annotated[
        str, typer.Option(help="How long to wait until connected verifiers know.", metavar="DURATION")
    ] = "2s",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """End tasks and credentials before their time, and say how many connected verifiers know of it."""
    target, milliseconds = flags.target(), int(duration(wait, "--wait") * 1000)
    if dry_run:
        request = pb.PreviewRequest(target=target)
        found = _ask(socket_path, lambda stub: stub.Preview(request, timeout=LONG))
        print_message(found) if output is Output.JSON else _print_preview(found, suspend=suspend)
        return
    if not reason:
        raise typer.BadParameter("say why", param_hint="--reason")
    asked = pb.RevokeRequest(target=target, reason=reason, suspend=suspend, wait=milliseconds)
    said = _ask(socket_path, lambda stub: stub.Revoke(asked, timeout=LONG))
    print_message(said) if output is Output.JSON else _print_revoked(said, milliseconds)


def _print_preview(found: pb.PreviewResponse, *, suspend: bool) -> None:
    more = f"{_principals(found.principals)} would be suspended, " if suspend else ""
    typer.echo(f"{more}{_ends(found.tasks, found.credentials)} would be revoked; nothing has changed")


def _print_revoked(said: pb.RevokeResponse, waited: int) -> None:
    more = f"{_principals(said.principals)} suspended, " if said.principals else ""
    typer.echo(f"{more}{_ends(said.tasks, said.credentials)} revoked; {_known(said, waited)}")
    if said.hint:
        typer.echo(f"Next: {said.hint}")


def _known(said: pb.RevokeResponse, waited: int) -> str:
    if not waited:
        return "verifiers were not waited for"
    if not said.verifiers:
        return "no verifier is connected"
    of = f"{said.confirmed} of {count_of(said.verifiers, 'connected verifier', 'connected verifiers')}"
    return f"{of} confirmed in {said.milliseconds} ms"


def _ends(tasks: int, credentials: int) -> str:
    return f"{count_of(tasks, 'task', 'tasks')}, {count_of(credentials, 'credential', 'credentials')}"


def _principals(number: int) -> str:
    return count_of(number, "principal", "principals")


def _ask(socket_path: Path, call: Callable[["RevocationsAsyncStub"], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with connect(socket_path) as channel:
            stub = Stub(channel, pb.DESCRIPTOR.services_by_name["Revocations"])
            return await call(cast("RevocationsAsyncStub", stub))

    return run(ask())
