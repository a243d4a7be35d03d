"""assay.status.v1.Status as the agent registers it; what it takes is loaded when a verifier first calls."""

import asyncio
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from assay.clock import Clock
from assay.rpc.lazy import LazyService
from assay.rpc.method import Service
from assay_agent.cache import Cache
from assay_agent.client.server import ServerClient
from assay_agent.instance.instances import Instances
from assay_agent.workload.caller import Callers

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    from assay_agent.status.relay import StatusRelay

NAME = "assay.status.v1.Status"


class StatusService(LazyService):
    """Verifiers' way to what the server tells; see `api` and `relay`."""

    def __init__(
        self, cache: Cache, callers: Callers, instances: Instances, client: ServerClient, clock: Clock
    ) -> None:
        super().__init__(NAME, self._made)
        self._cache = cache
        self._callers = callers
        self._instances = instances
        self._client = client
        self._clock = clock
        self._relay: StatusRelay | None = None
        self._called = asyncio.Event()

    async def run(self) -> None:
        """Listen to the server for the verifiers, from the first call on, until cancelled."""
        await self._called.wait()
        if self._relay is not None:
            await self._relay.run()

    @staticmethod
    def files() -> Iterable["FileDescriptorProto"]:
        """Its descriptors, for reflection."""
        from assay_agent.status.api import files  # noqa: PLC0415 - few ever ask

        return files()

    def _made(self) -> Service:
        from assay_agent.status.api import StatusApi  # noqa: PLC0415 - see the module's first line
        from assay_agent.status.relay import StatusRelay  # noqa: PLC0415 - likewise

        self._relay = StatusRelay(self._client.status(), self._clock, random.random)
        self._called.set()
        return StatusApi(self._cache, self._callers, self._instances, self._relay).service()
