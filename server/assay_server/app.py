"""The server put together: the one place that knows every concrete class."""

import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from assay.clock import Clock
from assay.files import make_data_folder
from assay.keymanager.base import KeyManager
from assay.keymanager.metered import MeteredKeyManager
from assay.loglevel import LiveLevel
from assay.plugin import external
from assay.reload import SIGNALS, Reload
from assay.rpc.method import Service
from assay.supervisor import Supervisor
from assay.telemetry import tracing
from assay.telemetry.rpc import Observer, RpcMetrics
from assay.telemetry.telemetry import Telemetry, telemetry_of
from assay.telemetry.tracing import Tracer
from assay.transport.proxy import TrustedProxies
from assay.transport.room import Room
from assay.transport.tls import TlsIdentity
from assay.wire.logger import LoggerApi
from assay.wire.service import AGENT, BUNDLE, DEBUG, ENTRY, LOGGER, SVID, SYNC, TRUST_DOMAIN, served
from assay_server.api.agent import AgentApi
from assay_server.api.bundle import BundleApi
from assay_server.api.debug import DebugApi
from assay_server.api.entry import EntryApi
from assay_server.api.health import HealthApi
from assay_server.api.svid import SvidApi
from assay_server.api.sync import SyncApi
from assay_server.api.trustdomain import TrustDomainApi
from assay_server.attestation.nodes import NodeService
from assay_server.attestation.pruning import NodePruning, NodePruningSettings
from assay_server.attestation.service import AttestationService
from assay_server.attestation.tokens import JoinTokens
from assay_server.authorization.authorizer import Authorizer
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.index_gauges import gauge_index
from assay_server.authorization.nodes import NodeRows
from assay_server.authorization.ratelimit import RateLimits
from assay_server.ca import CaManager, CaSettings
from assay_server.config import CaSubject, ServerConfig
from assay_server.credential import CredentialSettings, Issuer, Subject
from assay_server.credential.subject import DEFAULT_CA_SUBJECT
from assay_server.datastore.base import Store
from assay_server.datastore.metered import MeteredStore
from assay_server.datastore.sql.store import open_store
from assay_server.endpoints.identity import ServerIdentity
from assay_server.endpoints.server import Endpoints
from assay_server.governing import Governing, Ground, unbound
from assay_server.plugins.builtin import Host, key_manager, node_attestors
from assay_server.registration.bundles import BundleService
from assay_server.registration.entries import EntryService
from assay_server.registration.federation import FederationService
from assay_server.registration.pruning import EntryPruning
from assay_server.reload import LIVE, LiveParts

log = structlog.get_logger(__name__)

# Seconds in which everything has to end, and those that calls under way get of them.
GRACE = 10.0
CALL_GRACE = 2.0


async def serve(config: ServerConfig, *, clock: Clock, level: LiveLevel, reread: Callable[[], ServerConfig]) -> None:
    """Run the server until SIGTERM or SIGINT; SIGHUP and SIGUSR1 have it take over what `reread` says and can change.

    Raises:
        AssayError: something the server stands on cannot be had: folder, store, keys, plugins, socket or port.
    """
    async with Supervisor(grace=GRACE) as supervisor:
        supervisor.stop_on_signals()
        reload = Reload(config, reread, level)
        supervisor.on_signals(SIGNALS, reload.ask)
        log.info("Starting server", data_dir=str(config.data_dir), trust_domain=str(config.trust_domain))
        make_data_folder(config.data_dir)
        telemetry = telemetry_of(config.telemetry, "spire_server", config.trust_domain, clock)
        supervisor.defer("telemetry", telemetry.close)
        sql = await open_store(config.datastore_path, clock=clock)
        supervisor.defer("datastore", sql.close)
        store = MeteredStore(sql, telemetry.metrics) if telemetry.on else sql
        keys = MeteredKeyManager(_key_manager(config, clock), telemetry.metrics, "server_key_manager")
        ca = CaManager(store, keys, clock, _ca_settings(config), config.trust_domain, telemetry.metrics)
        await ca.start()
        parts = _build(config, clock, store, keys, ca, telemetry, level)
        for name, work in (
            ("CA rotation", ca.run),
            ("node rows", parts.rows.run),
            ("authorized entries", parts.authorized.run),
            ("entry pruning", EntryPruning(store, clock, telemetry.metrics).run),
            ("node pruning", NodePruning(store, clock, _prune_settings(config), telemetry.metrics).run),
            ("governed identities", parts.governing.run),
        ):
            supervisor.start(name, work)
        if telemetry.on:
            supervisor.on_signals((signal.SIGUSR1,), telemetry.dumping(reload.ask))
            supervisor.start("uptime", telemetry.run)
            telemetry.identify(parts.identity)
            supervisor.start("index size", lambda: gauge_index(parts.authorized, telemetry.metrics, clock))
        await _open(config, parts, supervisor)
        if config.token_endpoint.enabled:
            supervisor.start("token endpoint", lambda: _serve_tokens(parts.governing, telemetry.tracer))
        if config.health.enabled:
            supervisor.start("health", _health(config, clock, store, ca, parts.issuer))
        supervisor.start("reload", lambda: reload.run(LIVE, _applying(parts.live, telemetry)))
        await supervisor.wait_stopped()


def _applying(live: LiveParts, telemetry: Telemetry) -> Callable[[ServerConfig], Awaitable[None]]:
    async def apply(config: ServerConfig) -> None:
        take = await telemetry.reread()
        await live.apply(config)
        take()

    return apply


@dataclass(frozen=True, slots=True)
class _Parts:
    issuer: Issuer
    rows: NodeRows
    authorized: AuthorizedEntries
    identity: ServerIdentity
    tls: TlsIdentity
    endpoints: Endpoints
    live: LiveParts
    governing: Governing


def _build(
    config: ServerConfig,
    clock: Clock,
    store: Store,
    keys: KeyManager,
    ca: CaManager,
    telemetry: Telemetry,
    level: LiveLevel,
) -> _Parts:
    metrics = telemetry.metrics
    issuer = Issuer(config.trust_domain, ca, clock, _credential_settings(config), metrics)
    rows = NodeRows(store)
    authorized = AuthorizedEntries(store, config.trust_domain, clock, metrics)
    tls = TlsIdentity(config.trust_domain, clock, admitted=config.admin_ids)
    foreign = {admin.trust_domain for admin in config.admin_ids}
    identity = ServerIdentity(tls, issuer, store, clock, foreign, metrics, config.telemetry.known)
    authorizer = Authorizer(store, rows, clock, config.admin_ids)
    live = _live_parts(config, clock, store, rows, issuer, identity, authorizer, telemetry)
    governing = Governing(Ground(config, store, clock, keys, issuer, ca, authorized, live.limits))
    services = (
        *_services(config, clock, store, issuer, rows, authorized, live),
        served(DEBUG, DebugApi(store, config.trust_domain, clock, lambda: identity.chain)),
        served(LOGGER, LoggerApi(level)),
        *governing.services(),
    )
    return _Parts(
        issuer=issuer,
        rows=rows,
        authorized=authorized,
        identity=identity,
        tls=tls,
        endpoints=Endpoints(
            authorizer,
            services,
            max_message_bytes=config.max_message_bytes,
            room=_room(config),
            observers=_observers(config, clock, telemetry, authorizer),
            unseen=not _audited(config),
        ),
        live=live,
        governing=governing,
    )


def _live_parts(
    config: ServerConfig,
    clock: Clock,
    store: Store,
    rows: NodeRows,
    issuer: Issuer,
    identity: ServerIdentity,
    authorizer: Authorizer,
    telemetry: Telemetry,
) -> LiveParts:
    trust_domain = config.trust_domain
    limits = RateLimits(config.rates, clock, telemetry.metrics if telemetry.on else None)
    tokens = JoinTokens(store, clock, trust_domain)
    host = Host(trust_domain, clock, tokens, config.data_dir, lambda: identity.roots(trust_domain))
    attestation = AttestationService(trust_domain, node_attestors(config.node_attestors, host), rows, issuer)
    return LiveParts(authorizer, identity, limits, attestation, host)


def _services(
    config: ServerConfig,
    clock: Clock,
    store: Store,
    issuer: Issuer,
    rows: NodeRows,
    authorized: AuthorizedEntries,
    live: LiveParts,
) -> Sequence[Service]:
    trust_domain, limits = config.trust_domain, live.limits
    nodes = NodeService(store, rows, issuer, clock)
    agents = AgentApi(trust_domain, live.attestation, nodes, live.host.tokens, limits)
    entries = EntryApi(EntryService(store, clock, trust_domain, unbound), authorized, trust_domain)
    svids = SvidApi(trust_domain, issuer, authorized, limits, store)
    health = HealthApi(store, trust_domain)
    return (
        served(AGENT, agents),
        served(BUNDLE, BundleApi(BundleService(store, trust_domain), limits)),
        served(ENTRY, entries),
        served(SVID, svids),
        served(SYNC, SyncApi(authorized, clock)),
        served(TRUST_DOMAIN, TrustDomainApi(FederationService(store, trust_domain))),
        health.handler(),
    )


async def _open(config: ServerConfig, parts: _Parts, supervisor: Supervisor) -> None:
    await parts.identity.start()
    supervisor.start("server SVID", parts.identity.run)
    supervisor.defer("server APIs", lambda: parts.endpoints.close(CALL_GRACE))
    proxies = TrustedProxies(config.proxy_networks) if config.proxy_networks else None
    await parts.endpoints.start(config.socket_path, config.bind_address, config.bind_port, parts.tls, proxies)


async def _serve_tokens(governing: Governing, tracer: Tracer | None) -> None:
    # What answers a request inherits it.
    tracing.use(tracer)
    await governing.serve_tokens()


def _health(
    config: ServerConfig, clock: Clock, store: Store, ca: CaManager, issuer: Issuer
) -> Callable[[], Awaitable[None]]:
    from assay.health.serve import serve_health  # noqa: PLC0415 - few switch it on
    from assay_server.health import server_checks  # noqa: PLC0415 - likewise

    checks = server_checks(store, config.trust_domain, ca, issuer, config.socket_path)
    return lambda: serve_health(config.health, checks, clock)


def _room(config: ServerConfig) -> Room:
    return Room(per_connection=2, per_caller=config.connections_per_caller, guests=config.anonymous_connections)


def _observers(config: ServerConfig, clock: Clock, telemetry: Telemetry, authorizer: Authorizer) -> list[Observer]:
    observers = [_audit(config, clock, authorizer)] if _audited(config) else []
    if telemetry.on:
        observers.append(RpcMetrics(telemetry.metrics))
    # Last, and so round the others: the audit trail's request ID is said of the span.
    return observers if telemetry.tracer is None else [*observers, _tracing(telemetry.tracer)]


def _tracing(tracer: Tracer) -> Observer:
    from assay.telemetry.rpctracing import RpcTracing  # noqa: PLC0415 - few switch it on
    from assay_server.api.traced import caller_attributes, continued  # noqa: PLC0415 - likewise

    return RpcTracing(tracer, continued, caller_attributes)


def _audited(config: ServerConfig) -> bool:
    return config.audit_log or config.audit_log_file is not None


def _audit(config: ServerConfig, clock: Clock, authorizer: Authorizer) -> Observer:
    from assay_server.api.audit.observer import Audit  # noqa: PLC0415 - few switch it on
    from assay_server.audit.filetrail import FileTrail  # noqa: PLC0415 - likewise
    from assay_server.audit.logtrail import LogTrail  # noqa: PLC0415 - likewise
    from assay_server.audit.record import Trail  # noqa: PLC0415 - likewise

    trails: list[Trail] = [LogTrail(lambda: authorizer.admin_ids)] if config.audit_log else []
    if config.audit_log_file is not None:
        trails.append(FileTrail(config.audit_log_file))
    return Audit(trails, clock)


def _key_manager(config: ServerConfig, clock: Clock) -> KeyManager:
    return key_manager(config.key_manager, external.Host(config.trust_domain, clock, config.data_dir))


def _ca_settings(config: ServerConfig) -> CaSettings:
    return CaSettings(
        ttl=config.ca_ttl,
        x509_key_type=config.ca_key_type,
        jwt_key_type=config.jwt_key_type,
        wit_key_type=config.wit_key_type,
        wit=config.wit_svids,
        subject=_ca_subject(config.ca_subject),
    )


def _ca_subject(subject: CaSubject) -> Subject:
    if subject == CaSubject():
        return DEFAULT_CA_SUBJECT
    return Subject.of(country=subject.country, organization=subject.organization, common_name=subject.common_name)


def _credential_settings(config: ServerConfig) -> CredentialSettings:
    return CredentialSettings(
        x509_svid_ttl=config.default_x509_svid_ttl,
        jwt_svid_ttl=config.default_jwt_svid_ttl,
        agent_ttl=config.agent_ttl,
        jwt_issuer=config.jwt_issuer,
        wit=config.wit_svids,
        wit_issuer=config.wit_issuer,
    )


def _prune_settings(config: ServerConfig) -> NodePruningSettings:
    return NodePruningSettings(
        expired_for=config.prune_attested_nodes_expired_for,
        batch_size=config.prune_attested_nodes_batch_size,
        tofu=config.prune_tofu_nodes,
    )
