"""The agent put together: the one place that knows every concrete class."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from assay.bundle import Bundle
from assay.clock import Clock
from assay.errors import AssayError
from assay.files import make_data_folder
from assay.health.serve import serve_health
from assay.keymanager.base import SigningKey
from assay.keymanager.metered import MeteredKeyManager
from assay.loglevel import LiveLevel
from assay.namespace import server_id
from assay.plugin.external import Host
from assay.reload import SIGNALS, Reload
from assay.spiffeid import TrustDomain
from assay.supervisor import Supervisor
from assay.telemetry import tracing
from assay.telemetry.metrics import Metrics
from assay.telemetry.telemetry import Telemetry, telemetry_of
from assay.transport.known import Identity, KnownServer, Roots
from assay_agent.attestation.bootstrap import BundleFormat, BundleSource, FileSource, InsecureSource
from assay_agent.attestation.bootstrapping import Bootstrapping, Rebootstrap
from assay_agent.attestation.identity import AgentIdentity, TrustRoots
from assay_agent.attestation.node import NodeAttestation, NodeParts
from assay_agent.attestation.rotation import NodeRotation
from assay_agent.cache.cache import Cache
from assay_agent.cache.jwt import JwtCache
from assay_agent.cache.wit import WitCache
from assay_agent.client.dial import dialling
from assay_agent.client.server import ServerClient
from assay_agent.config import AgentConfig
from assay_agent.health import agent_checks
from assay_agent.instance.svids import InstanceSvids
from assay_agent.instance.tokens import PrincipalTokens
from assay_agent.plugins import builtin
from assay_agent.reload import LIVE, LiveParts, signing_settings
from assay_agent.sockets import Behind, Sockets, sockets_of, workload_attestors
from assay_agent.storage.disk import AgentStorage
from assay_agent.sync.follower import Follower
from assay_agent.sync.loops import SigningLoops
from assay_agent.sync.signer import Signer

if TYPE_CHECKING:
    from assay_agent.svidstore.keeper import Keeper

log = structlog.get_logger(__name__)

# What has been put into SVID stores, in data_dir.
JOURNAL = "svid-stores.json"
# Seconds in which everything has to end.
GRACE = 10.0


async def serve(config: AgentConfig, *, clock: Clock, level: LiveLevel, reread: Callable[[], AgentConfig]) -> None:
    """Run the agent until SIGTERM or SIGINT. The workloads' socket is there before the node is attested.

    SIGHUP and SIGUSR1 have it take over what `reread` says of the log's level, and name what needs a restart.

    Raises:
        AssayError: the node is not admitted, or not any more, or something this agent stands on cannot be had.
    """
    log.info("Starting agent", data_dir=str(config.data_dir), trust_domain=str(config.trust_domain))
    async with Supervisor(grace=GRACE) as supervisor:
        supervisor.stop_on_signals()
        reload = Reload(config, reread, level)
        supervisor.on_signals(SIGNALS, reload.ask)
        telemetry = telemetry_of(config.telemetry, "spire_agent", config.trust_domain, clock)
        supervisor.defer("telemetry", telemetry.close)
        if telemetry.on:
            supervisor.on_signals((signal.SIGUSR1,), telemetry.dumping(reload.ask))
            supervisor.start("uptime", telemetry.run)
        # Tasks that are started from now on have it, and so everything that the agent does by itself.
        tracing.use(telemetry.tracer)
        agent = _build(config, clock, telemetry, level)
        supervisor.start("reload", lambda: reload.run(LIVE, _applying(agent, telemetry, clock)))
        supervisor.defer("client", agent.client.close)
        await agent.sockets.open(supervisor)
        checks = agent_checks(agent.sockets.probe, lambda: agent.identity.credentials() is not None)
        supervisor.start("health", lambda: serve_health(config.health, checks, clock))
        agent.identity.use(await agent.attestation.establish())
        _warn_of_lost_keys(config, agent.identity)
        supervisor.start("SVID rotation", agent.live.rotation.run)
        supervisor.start("signer", agent.live.signer.run)
        supervisor.start("SVIDs of instances", agent.live.instances.run)
        supervisor.start("JWT-SVID renewal", agent.live.jwts.run)
        supervisor.start("synchronization", agent.live.follower.run)
        supervisor.start("status of credentials", agent.sockets.follow_status)
        if agent.keeper is not None:
            supervisor.start("SVID stores", agent.keeper.run)
        supervisor.start("status", lambda: _settle(config, agent))
        await supervisor.wait_stopped()


def _applying(agent: "_Agent", telemetry: Telemetry, clock: Clock) -> Callable[[AgentConfig], Awaitable[None]]:
    async def apply(config: AgentConfig) -> None:
        take = await telemetry.reread()
        plugins = await asyncio.to_thread(workload_attestors, config, clock)
        agent.sockets.apply(config, plugins)
        agent.live.apply(config)
        take()

    return apply


@dataclass(frozen=True, slots=True)
class _Known:
    """The agent's own SVID, and the authorities that it has: its server's, and those that entries federate with."""

    trust_domain: TrustDomain
    identity: AgentIdentity
    own: TrustRoots
    cache: Cache

    def credentials(self) -> tuple[Sequence[bytes], SigningKey] | None:
        return self.identity.credentials()

    def roots(self, trust_domain: TrustDomain) -> Sequence[bytes]:
        if trust_domain == self.trust_domain:
            return self.own()
        bundle = self.cache.bundles.get(trust_domain)
        return [authority.der for authority in bundle.x509_authorities] if bundle is not None else ()


@dataclass(frozen=True, slots=True)
class _Agent:
    client: ServerClient
    sockets: Sockets
    identity: AgentIdentity
    attestation: NodeAttestation
    live: LiveParts
    cache: Cache
    keeper: "Keeper | None"


def _build(config: AgentConfig, clock: Clock, telemetry: Telemetry, level: LiveLevel) -> _Agent:
    metrics = telemetry.metrics
    make_data_folder(config.data_dir)
    storage = AgentStorage(config.data_dir)
    roots, identity = TrustRoots(storage), AgentIdentity()
    rebootstrap = Rebootstrap(config.rebootstrap_mode, config.rebootstrap_delay)
    bootstrap = Bootstrapping(_bundle_source(config), storage, clock, rebootstrap)
    client = _client(config, clock, roots, identity.credentials, connected=bootstrap.agreed)
    parts = _node_parts(config, clock, storage, roots, bootstrap, metrics)
    attestation = NodeAttestation(parts)
    rotation = NodeRotation(identity, attestation, parts, client, config.availability_target)
    cache = Cache(config.trust_domain)
    telemetry.identify(_Known(config.trust_domain, identity, roots, cache))
    signer = Signer(cache, client, clock, signing_settings(config), random.random, metrics)
    instances = InstanceSvids(cache, client, clock, signing_settings(config), random.random)
    tokens = PrincipalTokens(
        client, clock, max_size=config.jwt_svid_cache_max_size, hit_timeout=config.jwt_svid_cache_hit_timeout
    )
    jwts = JwtCache(
        client,
        clock,
        max_size=config.jwt_svid_cache_max_size,
        hit_timeout=config.jwt_svid_cache_hit_timeout,
        metrics=metrics,
    )
    wits = WitCache(
        client,
        clock,
        config.workload_x509_svid_key_type,
        max_size=config.jwt_svid_cache_max_size,
        metrics=metrics,
    )
    bootstrap.when_known(jwts.clear, wits.clear, tokens.clear)

    def take_bundle(bundle: Bundle) -> None:
        # Before the cache tells the followers of it: what they ask for then is signed by keys that are sound.
        for one in (rotation, jwts, wits, tokens):
            one.take_bundle(bundle)

    follower = Follower(
        client,
        cache,
        rotation,
        SigningLoops(signer, instances),
        clock,
        trust_domain=config.trust_domain,
        on_bundle=take_bundle,
        poll_interval=config.sync_interval,
        draw=random.random,
        metrics=metrics,
    )
    behind = Behind(client, cache, jwts, wits, instances, tokens, identity, follower)
    sockets = sockets_of(config, clock, telemetry, level, behind)
    keeper = _keeper(config, clock, cache)
    live = LiveParts(rotation, signer, follower, jwts, wits, instances, tokens)
    return _Agent(client, sockets, identity, attestation, live, cache, keeper)


def _keeper(config: AgentConfig, clock: Clock, cache: Cache) -> "Keeper | None":
    """Whoever keeps SVID stores, if any are configured, or were."""
    journal = config.data_dir / JOURNAL
    if not config.svid_stores and not journal.exists():
        return None
    from assay_agent.svidstore.journal import Journal  # noqa: PLC0415 - few agents have stores
    from assay_agent.svidstore.keeper import Keeper  # noqa: PLC0415 - likewise

    stores = {one.name: builtin.svid_store(one, _host(config, clock)) for one in config.svid_stores}
    return Keeper(cache, stores, Journal(journal), clock, config.trust_domain)


def _bundle_source(config: AgentConfig) -> BundleSource:
    form = BundleFormat(config.trust_domain, spiffe=config.trust_bundle_format == "spiffe")
    if config.trust_bundle_path is not None:
        return FileSource(config.trust_bundle_path, form)
    if config.insecure_bootstrap:
        return InsecureSource()
    from assay_agent.attestation.remote import UrlSource, WorkloadApiSource  # noqa: PLC0415 - where configured

    if config.trust_bundle_spiffe_workload_api:
        return WorkloadApiSource(config.trust_bundle_spiffe_workload_api, config.trust_domain)
    server = (config.server_address, config.server_port)
    return UrlSource(config.trust_bundle_url, form, config.trust_bundle_unix_socket, server)


def _node_parts(
    config: AgentConfig,
    clock: Clock,
    storage: AgentStorage,
    roots: TrustRoots,
    bootstrap: Bootstrapping,
    metrics: Metrics,
) -> NodeParts:
    def anonymous(authorities: Sequence[bytes]) -> ServerClient:
        insecure = config.insecure_bootstrap and not authorities
        return _client(config, clock, lambda: authorities, lambda: None, insecure=insecure)

    host = _host(config, clock)
    return NodeParts(
        trust_domain=config.trust_domain,
        storage=storage,
        keys=MeteredKeyManager(builtin.key_manager(config.key_manager, host), metrics, "agent_key_manager", "get_key"),
        roots=roots,
        attestor=builtin.node_attestor(config.node_attestor, config.join_token, config.join_token_file, host),
        anonymous=anonymous,
        bootstrap=bootstrap,
        clock=clock,
        draw=random.random,
        metrics=metrics,
    )


def _host(config: AgentConfig, clock: Clock) -> Host:
    return Host(config.trust_domain, clock, config.data_dir)


def _client(
    config: AgentConfig,
    clock: Clock,
    roots: Roots,
    identity: Identity,
    *,
    insecure: bool = False,
    connected: Callable[[], object] = lambda: None,
) -> ServerClient:
    server = KnownServer(
        config.server_address,
        config.server_port,
        expected=server_id(config.trust_domain),
        roots=roots,
        identity=identity,
        clock=clock,
        insecure=insecure,
    )
    return ServerClient(dialling(server, connected))


def _warn_of_lost_keys(config: AgentConfig, identity: AgentIdentity) -> None:
    if config.key_manager.name == "memory" and not identity.current.reattestable:
        log.warning(
            "Node attestation is not reattestable and the 'memory' key manager is in use; if the agent process is "
            "restarted, it will be unable to obtain a new SVID and will need to be manually evicted to be able to "
            "re-attest."
        )


def _first_calls(config: AgentConfig, agent: _Agent) -> Sequence[str]:
    """The modules that a first call of its kind would wait for."""
    own = agent.cache.bundles.get(config.trust_domain)
    wit = ("assay_agent.workload.wits", "assay.svid.witkey", "assay.svid.wit")
    return (
        *(("assay.svid.jwt",) if config.workload_api else ()),
        *(("assay_agent.sds.api",) if config.sds is not None else ()),
        *(wit if config.workload_api and own is not None and own.wit_authorities else ()),
    )


async def _settle(config: AgentConfig, agent: _Agent) -> None:
    """What can wait until workloads have their SVIDs: slow imports, and telling the server our version."""
    await agent.live.follower.wait_synced()
    for module in _first_calls(config, agent):
        await asyncio.to_thread(import_module, module)
    try:
        await agent.client.post_status(await asyncio.to_thread(version, "assay"))
    except AssayError as error:
        log.error("Failed to post agent status", error=str(error))  # noqa: TRY400 - a refusal, no bug
