"""assay.task.v1.Tasks as the agent registers it; what it takes is loaded when a workload first calls."""

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from assay.rpc.method import Handler, Service
from assay_agent.cache import Cache
from assay_agent.client.server import ServerClient
from assay_agent.instance.instances import Instances
from assay_agent.workload.caller import Callers

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

NAME = "assay.task.v1.Tasks"


class TasksService:
    """Workloads' way to their tasks, which the server keeps; see `tasks`."""

    name = NAME

    def __init__(self, cache: Cache, callers: Callers, instances: Instances, client: ServerClient) -> None:
        self._cache = cache
        self._callers = callers
        self._instances = instances
        self._client = client

    def service(self, handler_call_details: Any, /) -> Handler | None:  # noqa: ANN401 - grpc's type or ours
        """The handler of that method, or None."""
        if not handler_call_details.method.startswith(f"/{NAME}/"):
            return None
        return self._service.service(handler_call_details)

    @staticmethod
    def files() -> Iterable["FileDescriptorProto"]:
        """Its descriptors, for reflection."""
        from assay_agent.workload.tasks import files  # noqa: PLC0415 - few ever ask

        return files()

    @cached_property
    def _service(self) -> Service:
        from assay_agent.workload.tasks import Tasks  # noqa: PLC0415 - see the module's first line

        return Tasks(self._cache, self._callers, self._instances, self._client.tasks()).service()
