"""What is served on the admin socket."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from assay.clock import Clock
from assay.loglevel import LiveLevel
from assay.rpc.method import Service
from assay.spiffeid import SpiffeId
from assay.telemetry.metrics import OFF, Metrics
from assay.wire.logger import LoggerApi
from assay.wire.service import served
from assay_agent.admin.debug import DebugApi, Observed
from assay_agent.admin.delegates import Delegates
from assay_agent.admin.delegation import DelegatedIdentityApi
from assay_agent.admin.subject import Subjects
from assay_agent.workload.caller import Callers
from assay_proto.spire.api.agent.debug.v1 import debug_pb2
from assay_proto.spire.api.agent.delegatedidentity.v1 import delegatedidentity_pb2
from assay_proto.spire.api.agent.logger.v1 import logger_pb2

__all__ = ["Observed", "services"]


def services(
    observed: Observed,
    callers: Callers,
    authorized: AbstractSet[SpiffeId],
    level: LiveLevel,
    clock: Clock,
    metrics: Metrics = OFF,
) -> Sequence[Service]:
    """DelegatedIdentity, Debug and Logger."""
    cache = observed.cache
    delegates = Delegates(cache, callers, authorized)
    delegation = DelegatedIdentityApi(cache, observed.jwts, delegates, Subjects(callers.attestor), clock, metrics)
    return (
        served(delegatedidentity_pb2.DESCRIPTOR.services_by_name["DelegatedIdentity"], delegation),
        served(debug_pb2.DESCRIPTOR.services_by_name["Debug"], DebugApi(observed, clock)),
        served(logger_pb2.DESCRIPTOR.services_by_name["Logger"], LoggerApi(level)),
    )
