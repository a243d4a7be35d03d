"""The service as a server registers it; all that it takes is loaded once workloads have their SVIDs, or when called."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from assay.rpc.lazy import LazyService
from assay.rpc.method import Service
from assay_agent.cache import Cache
from assay_agent.config.settings import SdsSettings
from assay_agent.instance.instances import Instances
from assay_agent.workload.caller import Callers
from assay_agent.workload.ratelimit import SelectorLimits

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

NAME = "envoy.service.secret.v3.SecretDiscoveryService"


class SdsService(LazyService):
    """Serves secrets of what the cache holds; see SecretDiscovery."""

    def __init__(
        self,
        cache: Cache,
        callers: Callers,
        instances: Instances,
        settings: SdsSettings,
        limits: SelectorLimits | None = None,
    ) -> None:
        super().__init__(NAME, self._made)
        self._cache = cache
        self._instances = instances
        self._limits = limits
        self._callers = callers
        self._settings = settings

    @staticmethod
    def files() -> Iterable["FileDescriptorProto"]:
        """Its descriptors, for reflection."""
        from assay_agent.sds.descriptors import sds_files  # noqa: PLC0415 - few ever ask

        return sds_files()

    def _made(self) -> Service:
        from assay_agent.sds.api import SecretDiscovery, handlers  # noqa: PLC0415 - see the module's first line

        return handlers(SecretDiscovery(self._cache, self._callers, self._instances, self._settings, self._limits))
