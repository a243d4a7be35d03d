"""The agent's sockets put together: the workloads', the admin socket, and the operator's own."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.clock import Clock
from assay.loglevel import LiveLevel
from assay.plugin.external import Host
from assay.plugin.workloadattestor import WorkloadAttestor
from assay.rpc.method import Context, Service
from assay.rpc.server import peer_of
from assay.rpc.status import Metadata
from assay.spiffeid import SpiffeId
from assay.supervisor import Supervisor
from assay.telemetry.metrics import Metrics
from assay.telemetry.rpc import Observer, RpcConnections, RpcMetrics
from assay.telemetry.telemetry import Telemetry
from assay.transport.peer import UnixPeer
from assay_agent.attestation.identity import AgentIdentity
from assay_agent.cache.cache import Cache
from assay_agent.cache.jwt import JwtCache
from assay_agent.cache.wit import WitCache
from assay_agent.client.server import ServerClient
from assay_agent.config import AgentConfig
from assay_agent.endpoints import Endpoints
from assay_agent.endpoints.private import PrivateEndpoint
from assay_agent.instance.instances import Instances
from assay_agent.instance.svids import InstanceSvids
from assay_agent.instance.tokens import PrincipalTokens
from assay_agent.instance.values import InstanceValues
from assay_agent.plugins import builtin
from assay_agent.sds.service import SdsService
from assay_agent.status.service import StatusService
from assay_agent.sync.follower import Follower
from assay_agent.workload.api import WorkloadApi, WorkloadApiSettings
from assay_agent.workload.attestor import Attestor
from assay_agent.workload.caller import Callers, process_attributes
from assay_agent.workload.explain import ExplainApi
from assay_agent.workload.ratelimit import SelectorLimits, UserLimit
from assay_agent.workload.refusals import Refusals
from assay_agent.workload.taskservice import TasksService

if TYPE_CHECKING:
    from assay_agent.admin.endpoints import AdminEndpoints

# The APIs whose calls SPIRE's agent counts as connections, and what it calls them there.
CONNECTIONS = {
    "SpiffeWorkloadAPI": "workload_api", "envoy.service.secret.v3.SecretDiscoveryService": "sds_api",
    "spire.api.agent.delegatedidentity.v1.DelegatedIdentity": "delegated_identity_api",
    "spire.agent.debug.v1.Debug": "debug_api", "spire.api.agent.logger.v1.Logger": "logger_api",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Behind:
    """What the sockets serve."""

    client: ServerClient
    cache: Cache
    jwts: JwtCache
    wits: WitCache
    instances: InstanceSvids
    tokens: PrincipalTokens
    identity: AgentIdentity
    follower: Follower


@dataclass(frozen=True, slots=True)
class Live:
    """What stands behind calls whose settings can change under them. `authorized` has the delegates of the moment."""

    attestor: Attestor
    refusals: Refusals
    callers: Callers
    limits: SelectorLimits
    users: UserLimit
    authorized: set[SpiffeId]
    workload_api: WorkloadApi | None = None

    def apply(self, config: AgentConfig, plugins: Sequence[WorkloadAttestor]) -> None:
        """Take over what is live, between two calls."""
        self.attestor.use(plugins)
        self.refusals.use(plugins)
        self.callers.log_selectors = config.log_selectors
        self.limits.use(config.method_rates)
        self.users.use(config.calls_per_user)
        self.authorized.clear()
        self.authorized.update(config.authorized_delegates)
        if self.workload_api is not None:
            self.workload_api.settings = workload_settings(config)


@dataclass(frozen=True, slots=True)
class Sockets:
    """Those that there are: the workloads' unless all on it is disabled, the admin socket where it is configured."""

    workloads: Endpoints | None
    admin: "AdminEndpoints | None"
    private: PrivateEndpoint
    live: Live
    status: StatusService | None = None

    async def follow_status(self) -> None:
        """Listen to what the server tells verifiers, once there are any, until cancelled."""
        if self.status is not None:
            await self.status.run()

    def apply(self, config: AgentConfig, plugins: Sequence[WorkloadAttestor]) -> None:
        """Take over what is live of a configuration, whose workload attestors these are."""
        self.live.apply(config, plugins)
        if self.workloads is not None:
            self.workloads.room.use(config.connections_per_user)

    async def open(self, supervisor: Supervisor) -> None:
        """Accept calls until the supervisor ends.

        Raises:
            AssayError: a socket cannot be had.
        """
        if self.workloads is not None:
            supervisor.defer("agent APIs", self.workloads.close)
            await self.workloads.start()
        if self.admin is not None:
            supervisor.defer("admin APIs", self.admin.close)
            await self.admin.start()
        supervisor.defer("private socket", self.private.close)
        await self.private.start()

    async def probe(self) -> None:
        """Call the Workload API, if it is there; raises AssayError when it refuses."""
        if self.workloads is not None:
            await self.workloads.probe()


def sockets_of(config: AgentConfig, clock: Clock, telemetry: Telemetry, level: LiveLevel, behind: Behind) -> Sockets:
    """The sockets, none of which is open yet.

    Raises:
        AssayError: a workload attestor cannot be had.
    """
    live, explain = _live(config, clock, behind, telemetry.metrics)
    values = InstanceValues(lambda: live.attestor.plugins)
    instances = Instances(behind.cache, behind.instances, values, behind.tokens)
    if config.workload_api:
        settings = workload_settings(config)
        api = WorkloadApi(behind.cache, behind.jwts, behind.wits, live.callers, instances, clock, settings, live.limits)
        live = replace(live, workload_api=api)
    status = StatusService(behind.cache, live.callers, instances, behind.client, clock) if config.workload_api else None
    observers = _observers(telemetry)
    served = config.workload_api or config.sds
    workloads = _workloads(config, behind, live, instances, observers, status) if served else None
    admin = None
    if config.admin_socket_path is not None:
        services = _admin_services(config, clock, level, behind, live, telemetry.metrics)
        admin = _admin(config.admin_socket_path, [*services, explain.service()], observers)
    return Sockets(workloads, admin, PrivateEndpoint(config.data_dir, explain.register), live, status)


def workload_settings(config: AgentConfig) -> WorkloadApiSettings:
    """What the Workload API is told."""
    return WorkloadApiSettings(
        config.trust_domain, config.allow_unauthenticated_verifiers, config.allowed_foreign_jwt_claims
    )


def workload_attestors(config: AgentConfig, clock: Clock) -> Sequence[WorkloadAttestor]:
    """Those that are configured, made anew; raises AssayError when one refuses its settings."""
    host = Host(config.trust_domain, clock, config.data_dir)
    return [builtin.workload_attestor(plugin, host) for plugin in config.workload_attestors]


def _live(config: AgentConfig, clock: Clock, behind: Behind, metrics: Metrics) -> tuple[Live, ExplainApi]:
    """Who tells who calls, and how often they may; and what explains why callers are refused."""
    cache, identity, own_pid = behind.cache, behind.identity, os.getpid()
    plugins = workload_attestors(config, clock)
    attestor = Attestor(plugins, own_pid=own_pid, metrics=metrics)
    refusals = Refusals(cache, clock, config.trust_domain, plugins, lambda: identity.spiffe_id)
    callers = Callers(peer_of, attestor, own_pid=own_pid, on_refused=refusals.note, log_selectors=config.log_selectors)
    limits = SelectorLimits(config.method_rates, clock, metrics)
    users = UserLimit(config.calls_per_user, clock, own_pid)
    live = Live(attestor, refusals, callers, limits, users, set(config.authorized_delegates))
    return live, ExplainApi(cache, attestor, refusals, lambda: identity.spiffe_id)


def _workloads(
    config: AgentConfig,
    behind: Behind,
    live: Live,
    instances: Instances,
    observers: Sequence[Observer],
    status: StatusService | None,
) -> Endpoints:
    endpoints = Endpoints(
        config.socket_path,
        [live.users, *observers],
        connections_per_user=config.connections_per_user,
        calls_per_user=config.calls_at_once_per_user,
    )
    if live.workload_api is not None:
        endpoints.serve(live.workload_api)
        endpoints.serve_more(TasksService(behind.cache, live.callers, instances, behind.client))
    if status is not None:
        endpoints.serve_more(status)
    if config.sds is not None:
        endpoints.serve_sds(SdsService(behind.cache, live.callers, instances, config.sds, live.limits))
    return endpoints


def _admin_services(
    config: AgentConfig, clock: Clock, level: LiveLevel, behind: Behind, live: Live, metrics: Metrics
) -> Sequence[Service]:
    from assay_agent.admin import services  # noqa: PLC0415 - few switch it on

    follower = behind.follower
    observed = services.Observed(
        config.trust_domain, behind.cache, behind.jwts, behind.identity.chain, lambda: follower.last_sync
    )
    return services.services(observed, live.callers, live.authorized, level, clock, metrics)


def _admin(path: Path, services: Sequence[Service], observers: Sequence[Observer]) -> "AdminEndpoints":
    from assay_agent.admin.endpoints import AdminEndpoints  # noqa: PLC0415 - likewise

    return AdminEndpoints(path, services, observers)


def _observers(telemetry: Telemetry) -> Sequence[Observer]:
    """What stands round every RPC, whichever socket it comes by. The health check calls the agent itself: uncounted."""
    if not telemetry.on:
        return ()
    metrics, own_pid = telemetry.metrics, os.getpid()

    def own(context: object) -> bool:
        peer = peer_of(context)
        return isinstance(peer, UnixPeer) and peer.pid == own_pid

    observers: list[Observer] = [RpcConnections(metrics, CONNECTIONS), RpcMetrics(metrics, own)]
    if telemetry.tracer is not None:
        from assay.telemetry.rpctracing import RpcTracing  # noqa: PLC0415 - few switch it on

        def caller(context: Context) -> Metadata | None:
            return None if own(context) else context.invocation_metadata() or ()

        observers.append(RpcTracing(telemetry.tracer, caller, process_attributes))
    return observers
