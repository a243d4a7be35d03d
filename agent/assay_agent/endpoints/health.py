"""grpc.health.v1.Health on the workloads' socket: healthy when the Workload API answers on that very socket."""

from collections.abc import Awaitable, Callable

import structlog
from grpc_health.v1 import health_pb2

from assay.errors import AssayError, PermissionDeniedError
from assay.rpc.method import Registry
from assay.rpc.status import EndError, StatusCode
from assay.wire.health import SERVICE, handler

__all__ = ["SERVICE", "Health"]

log = structlog.get_logger(__name__)

Status = health_pb2.HealthCheckResponse


class Health:
    """Answers Check; Watch and List are not served, as in SPIRE.

    `probe` calls the Workload API. To be told that no entry matches is an answer too: few entries match the agent.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]]) -> None:
        self._probe = probe

    def register(self, server: Registry) -> None:
        """Serve it there."""
        server.add_generic_rpc_handlers((handler(self.Check),))

    async def Check(self, request: health_pb2.HealthCheckRequest, _context: object) -> health_pb2.HealthCheckResponse:
        """Whether the agent serves."""
        if request.service:
            raise EndError(StatusCode.INVALID_ARGUMENT, "per-service health is not supported")
        return Status(status=Status.SERVING if await self._healthy() else Status.NOT_SERVING)

    async def _healthy(self) -> bool:
        try:
            await self._probe()
        except PermissionDeniedError:
            return True
        except AssayError as error:
            reason = "unable to fetch X.509 context from Workload API"
            log.warning("Health check failed", reason=reason, error=str(error))
            return False
        return True
