"""grpc.health.v1.Health/Check: the server is healthy when it can read its own bundle. SPIRE serves no Watch either."""

import structlog
from grpc_health.v1 import health_pb2 as pb

from assay.errors import AssayError, InvalidArgumentError
from assay.rpc.method import Context, Service
from assay.spiffeid import TrustDomain
from assay.wire import health
from assay_server.datastore.base import Store

log = structlog.get_logger(__name__)


class HealthApi:
    """Answers Check."""

    def __init__(self, store: Store, trust_domain: TrustDomain) -> None:
        self._store = store
        self._trust_domain = trust_domain

    def handler(self) -> Service:
        """The service as a server registers it."""
        return health.handler(self.Check)

    async def Check(self, request: pb.HealthCheckRequest, context: Context) -> pb.HealthCheckResponse:
        """Whether the server serves."""
        if request.service:
            raise InvalidArgumentError("per-service health is not supported")
        reason = await self._unhealthy()
        if reason:
            log.warning("Health check failed", reason=reason)
            return pb.HealthCheckResponse(status=pb.HealthCheckResponse.NOT_SERVING)
        return pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVING)

    async def _unhealthy(self) -> str:
        try:
            bundle = await self._store.read(lambda tx: tx.bundles.get(self._trust_domain))
        except AssayError:
            return "unable to fetch bundle"
        return "" if bundle is not None and bundle.x509_authorities else "bundle is missing"
