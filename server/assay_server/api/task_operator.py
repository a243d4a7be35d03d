"""assay.task.v1.OperatorTasks: tasks for operators, and for controllers that turn events into tasks."""

from dataclasses import replace

from assay.clock import Clock
from assay.errors import InvalidArgumentError
from assay.rpc.method import Context
from assay_proto.task.v1 import task_pb2 as pb
from assay_server.api.actor import actor_of
from assay_server.api.page import page_from_proto
from assay_server.api.task_values import call_of, decision_to_proto, narrowing_of, request_of, shown, to_proto
from assay_server.governance.budget import left
from assay_server.governance.calling import Asker, CallService
from assay_server.governance.opening import Opener
from assay_server.governance.tasks import By, TaskService
from assay_server.model.governed.task import TaskState

_FILTERS = ("principal", "owner", "tenant", "state", "tool", "instance")


class OperatorTasksApi:
    """The OperatorTasks service."""

    def __init__(self, tasks: TaskService, calls: CallService, clock: Clock) -> None:
        self._tasks = tasks
        self._calls = calls
        self._clock = clock

    async def Open(self, request: pb.OperatorOpenRequest, context: Context) -> pb.Task:
        """Open a task for a principal."""
        actor = actor_of(context)
        return to_proto(await self._tasks.open(request_of(request.task), _opener(request, f"operator:{actor}", actor)))

    async def OpenForEvent(self, request: pb.OpenForEventRequest, context: Context) -> pb.Task:
        """Open a task for an event, once."""
        opener = _opener(request.open, "", actor_of(context))
        asked = request_of(request.open.task)
        return to_proto(await self._tasks.open_for_event(asked, opener, request.source, request.event_id))

    async def Show(self, request: pb.ShowRequest, context: Context) -> pb.ShowResponse:
        """A task with all that belongs to it."""
        record = await self._tasks.show(request.task_id, By(actor_of(context)))
        return shown(record, left(record.task, int(self._clock.now().timestamp())))

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Tasks, in pages if the caller asks for pages."""
        if request.state and TaskState(request.state) is TaskState.UNKNOWN:
            names = ", ".join(one.value for one in TaskState if one is not TaskState.UNKNOWN)
            raise InvalidArgumentError(f'no state "{request.state[:40]}"', hint=f"there are: {names}")
        terms = [(name, value) for name in _FILTERS if (value := getattr(request, name))]
        found, token = await self._tasks.find(terms, page_from_proto(request))
        return pb.ListResponse(tasks=[to_proto(one) for one in found], next_page_token=token)

    async def Decide(self, request: pb.OperatorDecideRequest, context: Context) -> pb.DecideResponse:
        """Whether a call may be made, as its instance would be told."""
        call = replace(call_of(request.request), instance=request.instance)
        return decision_to_proto(await self._calls.decide(call, Asker(By(actor_of(context)))))

    async def Narrow(self, request: pb.NarrowRequest, context: Context) -> pb.Task:
        """Leave it less."""
        return to_proto(await self._tasks.narrow(request.task_id, narrowing_of(request), By(actor_of(context))))

    async def Complete(self, request: pb.CompleteRequest, context: Context) -> pb.Task:
        """End it as done."""
        return to_proto(await self._tasks.complete(request.task_id, By(actor_of(context))))

    async def Suspend(self, request: pb.SuspendRequest, context: Context) -> pb.Task:
        """Hold it."""
        return to_proto(await self._tasks.suspend(request.task_id, _reason(request.reason), By(actor_of(context))))

    async def Resume(self, request: pb.ResumeRequest, context: Context) -> pb.Task:
        """Let it go on."""
        return to_proto(await self._tasks.resume(request.task_id, By(actor_of(context))))

    async def Revoke(self, request: pb.RevokeRequest, context: Context) -> pb.Task:
        """End it before its time."""
        return to_proto(await self._tasks.revoke(request.task_id, _reason(request.reason), By(actor_of(context))))


def _opener(request: pb.OperatorOpenRequest, trigger: str, actor: str) -> Opener:
    return Opener(trigger, actor, request.principal, request.instance, request.subject, request.subject_profile)


def _reason(text: str) -> str:
    if len(text) > 512 or not text.isprintable():  # noqa: PLR2004 - a line or two
        raise InvalidArgumentError("reason must be a text of at most 512 characters")
    return text
