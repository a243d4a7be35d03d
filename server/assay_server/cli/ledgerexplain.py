"""`assay ledger explain`: a task from its opening to its end, with each of its decisions decided once more."""

from typing import TYPE_CHECKING, Annotated, cast

import typer

from assay.cli.admin import TIMEOUT
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import print_json
from assay.rpc.client import Channel
from assay.sockets import ADMIN_SOCKET
from assay.wire.service import Stub
from assay_proto.ledger.v1 import replay_pb2 as pb
from assay_server.cli.governed import ask
from assay_server.cli.ledgerstory import as_json, faults, print_story

if TYPE_CHECKING:  # exists in the stubs only
    from assay_proto.ledger.v1.replay_pb2_grpc import ReplaysAsyncStub

PAGE = 200


def mount(app: typer.Typer) -> None:
    """Make it a command of that group."""
    app.command(epilog="Example: assay ledger explain tsk_01J9ZQ8Y3V0000000000000000")(explain)


def explain(
    task_id: Annotated[str, typer.Argument(help="The task's ID.", metavar="TASK")],
    *,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Tell everything of a task in order, and decide each of its decisions again.

    It ends with status 1 if an answer is another one, cannot be had again, or is not what was written down.
    """
    story = ask(socket_path, _stub, lambda stub: _story(stub, task_id))
    print_json(as_json(story)) if output is Output.JSON else print_story(story)
    wrong = faults(story)
    for one in wrong if output is not Output.JSON else ():
        typer.echo(f"Error: {one}", err=True)
    if wrong:
        raise typer.Exit(1)


async def _story(stub: "ReplaysAsyncStub", task_id: str) -> pb.ExplainTaskResponse:
    """All pages as one; the task as the last of them has it."""
    request = pb.ExplainTaskRequest(task_id=task_id, page_size=PAGE)
    steps: list[pb.Step] = []
    while True:
        page = await stub.Explain(request, timeout=TIMEOUT)
        steps += page.steps
        if not page.next_page_token:
            del page.steps[:]
            page.steps.extend(steps)
            return page
        request.page_token = page.next_page_token


def _stub(channel: Channel) -> "ReplaysAsyncStub":
    return cast("ReplaysAsyncStub", Stub(channel, pb.DESCRIPTOR.services_by_name["Replays"]))
