"""assay.task.v1.Tasks as the agent registers it; what it takes is loaded when a workload first calls."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from assay.rpc.lazy import LazyService
from assay.rpc.method import Service
from assay_agent.cache import Cache
from assay_agent.client.server import ServerClient
from assay_agent.instance.instances import Instances
from assay_agent.workload.caller import Callers

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

NAME = "assay.task.v1.Tasks"


class TasksService(LazyService):
    """Workloads' way to their tasks, which the server keeps; see `tasks`."""

    def __init__(self, cache: Cache, callers: Callers, instances: Instances, client: ServerClient) -> None:
        super().__init__(NAME, self._made)
        self._cache = cache
        self._callers = callers
        self._instances = instances
        self._client = client

    @staticmethod
    def files() -> Iterable["FileDescriptorProto"]:
        """Its descriptors, for reflection."""
        from assay_agent.workload.tasks import files  # noqa: PLC0415 - few ever ask

        return files()

    def _made(self) -> Service:
        from assay_agent.workload.tasks import Tasks  # noqa: PLC0415 - see the module's first line

        return Tasks(self._cache, self._callers, self._instances, self._client.tasks()).service()
