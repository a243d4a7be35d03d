"""`assay task`: approved work of governed identities."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import typer

from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, print_json
from assay.cli.taking import taking
from assay.cli.tasks import (
    CallFlags,
    TaskFlags,
    TaskOption,
    allowed,
    constraints_of,
    plain,
    print_decision,
    print_line,
    print_shown,
    print_task,
    read,
    seconds_of,
)
from assay.sockets import ADMIN_SOCKET
from assay.wire.service import Stub
from assay_proto.task.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from assay_proto.task.v1.task_pb2_grpc import OperatorTasksAsyncStub

PAGE = 100
T = TypeVar("T")

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Open, show, list, narrow, hold and end tasks of principals."
)

ReasonOption = Annotated[str, typer.Option(help="Why, as it will be shown.", metavar="TEXT")]


@app.command(
    "open",
    epilog='Example: assay task open --principal support-bot --goal "answer ticket 7" '
    "--allow https://crm/mcp=crm.read --lasting 10m",
)
@taking(TaskFlags)
def open_task(
    flags: TaskFlags,
    *,
    principal: Annotated[str, typer.Option(help="Whose task it is.", metavar="NAME")],
    instance: Annotated[str, typer.Option(help="Only for this instance, by SPIFFE ID.", metavar="ID")] = "",
    subject: Annotated[str, typer.Option(help="On whose behalf, such as alice@corp.", metavar="NAME")] = "",
    event: Annotated[
        str,
        typer.Option(help="The event it is for; the same event has the same task.", metavar="SOURCE/ID"),
    ] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Open a task for a principal: on its own behalf or somebody's, or for an event."""
    profile = "user" if subject else ""
    asked = pb.OperatorOpenRequest(
        principal=principal, task=flags.request(), instance=instance, subject=subject, subject_profile=profile
    )
    if not event:
        print_task(_ask(socket_path, lambda stub: stub.Open(asked, timeout=TIMEOUT)), output, "Task opened.")
        return
    source, slash, name = event.partition("/")
    if not slash:
        raise typer.BadParameter("is not SOURCE/ID", param_hint="--event")
    request = pb.OpenForEventRequest(source=source, event_id=name, open=asked)
    print_task(_ask(socket_path, lambda stub: stub.OpenForEvent(request, timeout=TIMEOUT)), output, "Task opened.")


@app.command(epilog="Example: assay task show --id tsk_01J9ZQ8Y3V0000000000000000")
def show(
    *, task: TaskOption, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Show what a task may do, until when, what it used, what decided, and what is left of its budget."""
    shown = _ask(socket_path, lambda stub: stub.Show(pb.ShowRequest(task_id=task), timeout=TIMEOUT))
    if output is Output.JSON:
        print_json(plain(shown))
    else:
        print_shown(shown)


@app.command("list", epilog="Example: assay task list --principal support-bot --state active")
def list_tasks(
    *,
    principal: Annotated[str, typer.Option(help="Only this principal's.", metavar="NAME")] = "",
    owner: Annotated[str, typer.Option(help="Only of this owner's principals.", metavar="NAME")] = "",
    tenant: Annotated[str, typer.Option(help="Only of this tenant.", metavar="NAME")] = "",
    state: Annotated[
        str, typer.Option(help="Only in this state: active, completed, revoked, expired, suspended.", metavar="STATE")
    ] = "",
    tool: Annotated[str, typer.Option(help="Only with this tool.", metavar="NAME")] = "",
    instance: Annotated[str, typer.Option(help="Only of this instance, by SPIFFE ID.", metavar="ID")] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """List tasks, the oldest first."""
    request = pb.ListRequest(
        principal=principal, owner=owner, tenant=tenant, state=state, tool=tool, instance=instance, page_size=PAGE
    )
    found = _ask(socket_path, lambda stub: _all(stub, request))
    if output is Output.JSON:
        print_json({"tasks": [plain(one) for one in found.tasks]})
        return
    typer.echo(f"Found {count_of(len(found.tasks), 'task', 'tasks')}")
    for one in found.tasks:
        print_line(one)


@app.command(epilog="Example: assay task narrow --id tsk_01J9ZQ8Y3V0000000000000000 --allow https://crm/mcp=crm.read")
def narrow(
    *,
    task: TaskOption,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="All that it may still do; may be given more than once.", metavar="RESOURCE=TOOL,..."),
    ] = None,
    authority: Annotated[
        Path | None, typer.Option(help="authorization_details as JSON, in place of --allow.", metavar="FILE")
    ] = None,
    constraint: Annotated[
        list[str] | None, typer.Option(help="All bounds on it, such as max_usd=50.", metavar="KEY=VALUE")
    ] = None,
    data_class: Annotated[
        list[str] | None, typer.Option(help="All data classes that it keeps.", metavar="NAME")
    ] = None,
    ends_at: Annotated[int | None, typer.Option(help="An earlier end, in Unix seconds.", metavar="SECONDS")] = None,
    calls: Annotated[int, typer.Option(help="Fewer calls in all.", min=0)] = 0,
    lasting: Annotated[str, typer.Option(help="How long at most from when it was opened.", metavar="DURATION")] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Leave a task less; never more. What it handed out with more is revoked."""
    request = pb.NarrowRequest(task_id=task)
    if authority is not None:
        request.authorization_details = read(authority)
    elif allow:
        request.authorization_details = allowed(allow)
    if constraint:
        request.constraints = constraints_of(constraint)
    if data_class:
        request.data_classes.names.extend(data_class)
    if ends_at is not None:
        request.ends_at = ends_at
    if calls or lasting:
        request.budget.CopyFrom(pb.Budget(calls=calls, duration=seconds_of(lasting, "--lasting")))
    print_task(_ask(socket_path, lambda stub: stub.Narrow(request, timeout=TIMEOUT)), output, "Task narrowed.")


@app.command(epilog="Example: assay task decide --id tsk_01J9ZQ8Y3V0000000000000000 --action crm.read")
@taking(CallFlags)
def decide(
    flags: CallFlags,
    *,
    instance: Annotated[str, typer.Option(help="As which instance, by SPIFFE ID.", metavar="ID")] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Ask whether a call may be made as if its instance did, to try a policy; it is counted if so."""
    request = pb.OperatorDecideRequest(request=flags.request(), instance=instance)
    print_decision(_ask(socket_path, lambda stub: stub.Decide(request, timeout=TIMEOUT)), output)


@app.command(epilog="Example: assay task complete --id tsk_01J9ZQ8Y3V0000000000000000")
def complete(
    *, task: TaskOption, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """End a task as done; what it handed out is revoked."""
    request = pb.CompleteRequest(task_id=task)
    print_task(_ask(socket_path, lambda stub: stub.Complete(request, timeout=TIMEOUT)), output, "Task completed.")


@app.command(epilog='Example: assay task suspend --id tsk_01J9ZQ8Y3V0000000000000000 --reason "under review"')
def suspend(
    *,
    task: TaskOption,
    reason: ReasonOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Hold a task: what it handed out is revoked, and its time goes on."""
    request = pb.SuspendRequest(task_id=task, reason=reason)
    print_task(_ask(socket_path, lambda stub: stub.Suspend(request, timeout=TIMEOUT)), output, "Task suspended.")


@app.command(epilog="Example: assay task resume --id tsk_01J9ZQ8Y3V0000000000000000")
def resume(
    *, task: TaskOption, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Let a task that is held go on."""
    request = pb.ResumeRequest(task_id=task)
    print_task(_ask(socket_path, lambda stub: stub.Resume(request, timeout=TIMEOUT)), output, "Task resumed.")


@app.command(epilog='Example: assay task revoke --id tsk_01J9ZQ8Y3V0000000000000000 --reason "no longer wanted"')
def revoke(
    *,
    task: TaskOption,
    reason: ReasonOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """End a task before its time; what it handed out is revoked, and tasks below it end."""
    request = pb.RevokeRequest(task_id=task, reason=reason)
    print_task(_ask(socket_path, lambda stub: stub.Revoke(request, timeout=TIMEOUT)), output, "Task revoked.")


def _ask(socket_path: Path, call: Callable[["OperatorTasksAsyncStub"], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with connect(socket_path) as channel:
            stub = Stub(channel, pb.DESCRIPTOR.services_by_name["OperatorTasks"])
            return await call(cast("OperatorTasksAsyncStub", stub))

    return run(ask())


async def _all(stub: "OperatorTasksAsyncStub", request: pb.ListRequest) -> pb.ListResponse:
    """Page by page."""
    found = pb.ListResponse()
    while True:
        page = await stub.List(request, timeout=TIMEOUT)
        found.tasks.extend(page.tasks)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
