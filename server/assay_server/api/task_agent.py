"""assay.task.v1.AgentTasks: tasks of workloads, which their agents have attested."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from assay.clock import Clock
from assay.errors import InvalidArgumentError
from assay.rpc.method import Context
from assay.spiffeid import SpiffeId
from assay_proto.task.v1 import task_pb2 as pb
from assay_server.api.task_values import (
    attested_of,
    call_of,
    credential_request_of,
    credential_to_proto,
    decision_to_proto,
    narrowing_of,
    request_of,
    to_proto,
)
from assay_server.authorization.agent import check_agent
from assay_server.authorization.caller import caller_id, current_caller
from assay_server.authorization.index import AuthorizedEntries
from assay_server.governance.callers import Callers, only
from assay_server.governance.calling import CallService
from assay_server.governance.credentials import CredentialService
from assay_server.governance.opening import Opener
from assay_server.governance.tasks import By, Caller, TaskService
from assay_server.governance.taskwatch import TaskWatch

MAX_KNOWN = 1000


class AgentTasksApi:
    """The AgentTasks service. Whose call it is follows from what the calling agent is authorized for now."""

    def __init__(
        self,
        tasks: TaskService,
        credentials: CredentialService,
        calls: CallService,
        watch: TaskWatch,
        callers: Callers,
        authorized: AuthorizedEntries,
        clock: Clock,
    ) -> None:
        self._tasks = tasks
        self._credentials = credentials
        self._calls = calls
        self._watch = watch
        self._callers = callers
        self._authorized = authorized
        self._clock = clock

    async def Open(self, request: pb.AgentOpenRequest, context: Context) -> pb.Task:
        """Open a task for the workload, for nobody else's instance."""
        asked = request_of(request.request)
        me = only(await self._of(request.workload), request.request.principal)
        opener = Opener(f"workload:{me.instance}", me.instance, me.principal, me.instance)
        return to_proto(await self._tasks.open(asked, opener))

    async def Get(self, request: pb.AgentGetRequest, context: Context) -> pb.Task:
        """One task of the workload's."""
        return to_proto(await self._tasks.get(request.request.task_id, await self._by(request.workload)))

    async def List(self, request: pb.AgentListRequest, context: Context) -> pb.ListResponse:
        """The workload's tasks that have not ended."""
        found = await self._tasks.own(await self._of(request.workload))
        return pb.ListResponse(tasks=[to_proto(one) for one in found])

    async def Credential(self, request: pb.AgentCredentialRequest, context: Context) -> pb.CredentialResponse:
        """A token within a task of the workload's, bound to its key."""
        asked = request.request
        by = await self._by(request.workload)
        task = await self._tasks.get(asked.task_id, by)
        instance = SpiffeId.parse(by.actor(task) or "")
        issued = await self._credentials.issue(credential_request_of(asked, instance))
        return credential_to_proto(issued.granted.credential, issued.granted.authority, issued.token)

    async def Decide(self, request: pb.AgentDecideRequest, context: Context) -> pb.DecideResponse:
        """Whether a call may be made, asked by the instance whose task it is or by a verifier."""
        call = call_of(request.request)
        asker = await self._callers.asking(caller_id(), attested_of(request.workload))
        return decision_to_proto(await self._calls.decide(call, asker))

    async def Narrow(self, request: pb.AgentNarrowRequest, context: Context) -> pb.Task:
        """Leave it less."""
        to = narrowing_of(request.request)
        return to_proto(await self._tasks.narrow(request.request.task_id, to, await self._by(request.workload)))

    async def Complete(self, request: pb.AgentCompleteRequest, context: Context) -> pb.Task:
        """End it as done."""
        return to_proto(await self._tasks.complete(request.request.task_id, await self._by(request.workload)))

    async def Heartbeat(self, request: pb.AgentHeartbeatRequest, context: Context) -> pb.Task:
        """Note that it is still at work."""
        return to_proto(await self._tasks.heartbeat(request.request.task_id, await self._by(request.workload)))

    async def Watch(self, request: pb.AgentWatchRequest, context: Context) -> AsyncIterator[pb.Task]:
        """The workload's tasks, and each whenever it changes, for as long as agent and workload have their right."""
        workload, known = request.workload, dict(request.request.known)
        if len(known) > MAX_KNOWN:
            raise InvalidArgumentError(f"too many tasks are known: at most {MAX_KNOWN}")
        callers = await self._of(workload)

        async def check() -> None:
            await self._check_agent()
            await self._of(workload)

        async with aclosing(self._watch.follow(callers, known, check)) as tasks:
            async for task in tasks:
                yield to_proto(task)

    async def _of(self, workload: pb.Workload) -> tuple[Caller, ...]:
        return await self._callers.of(caller_id(), attested_of(workload))

    async def _by(self, workload: pb.Workload) -> By:
        return By(callers=await self._of(workload))

    async def _check_agent(self) -> None:
        """See that the SVID that opened a stream is still its agent's."""
        credential = current_caller().credential
        view = await self._authorized.view(caller_id())
        if credential is not None:
            check_agent(credential, view.node, self._clock.now().timestamp())
