"""Attesting the node: once at first, and again whenever the SVID is renewed that way."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import structlog

from assay.backoff import Backoff
from assay.clock import Clock
from assay.crypto import csr
from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError, Kind, UnavailableError
from assay.keymanager.base import KeyManager, KeyType, SigningKey
from assay.plugin.nodeattestor import AgentNodeAttestor
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay.telemetry.metrics import OFF, Metrics, measured
from assay_agent.attestation.bootstrapping import Bootstrapping
from assay_agent.attestation.decision import other_slot
from assay_agent.attestation.identity import NodeSvid, TrustRoots
from assay_agent.attestation.recovery import recover
from assay_agent.client.refusal import UntrustedServerError
from assay_agent.client.server import ServerClient
from assay_agent.storage.disk import AgentStorage

log = structlog.get_logger(__name__)

FIRST_ATTESTATION = Backoff(first=5, limit=120)
# Seconds: of an agent that waits for its server, and of one that may have to wait for a new bundle of it.
GIVE_UP_AFTER, GIVE_UP_REBOOTSTRAP_AFTER = 60.0, 24 * 3600.0
NEW_SVID = ("node", "attestor", "new_svid")

T = TypeVar("T")

# A client without SVID, given the server's authorities (DER); with none it believes any server of the trust domain.
Anonymous: TypeAlias = Callable[[Sequence[bytes]], ServerClient]


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What attestation stands on. `draw` gives random numbers in [0, 1)."""

    trust_domain: TrustDomain
    storage: AgentStorage
    keys: KeyManager
    roots: TrustRoots
    attestor: AgentNodeAttestor
    anonymous: Anonymous
    bootstrap: Bootstrapping
    clock: Clock
    draw: Callable[[], float]
    metrics: Metrics = OFF


class NodeAttestation:
    """Gets the agent its SVID."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    async def establish(self) -> NodeSvid:
        """The SVID of the last run while it lives, else a new one.

        Failures are retried for a minute, or for a day if the server may be met anew; that it denies permission is
        final.

        Raises:
            AssayError: the last failure.
        """
        parts = self._parts
        if parts.roots():
            self._say("Bundle loaded")
        if parts.storage.data.svid:
            parts.bootstrap.check(reattestable=parts.storage.data.reattestable)
        found = await recover(parts.storage.data, parts.keys, parts.trust_domain, parts.clock.now().timestamp())
        if found.node is not None:
            await self._check_bundle()
            log.info("SVID loaded", spiffe_id=str(found.node.spiffe_id))
            return found.node
        log.info("SVID is not found. Starting node attestation")
        slot = other_slot(found.slot)
        key = await parts.keys.generate(slot, KeyType.EC_P256)
        node = await self._with_retries(lambda: self._attest_measured(slot, key))
        log.info("Node attestation was successful", spiffe_id=str(node.spiffe_id), reattestable=node.reattestable)
        parts.bootstrap.check(reattestable=node.reattestable)
        return node

    async def attest(self, slot: str, key: SigningKey) -> NodeSvid:
        """Attest with that key, then store SVID and bundle.

        Raises:
            AssayError: no SVID was issued; nothing is stored.
        """
        parts = self._parts
        known = parts.roots()
        roots = known or await parts.bootstrap.fetch()
        if not known:
            self._say("Bundle loaded" if roots else "Bundle is not found")
        if not roots:
            log.warning("Insecure bootstrap enabled; skipping server certificate verification")
        conversation = await parts.attestor.begin()
        async with parts.anonymous(roots) as client:
            issued = await client.attest(parts.attestor.type, conversation, csr.create(key))
            node = NodeSvid(parse_issued(issued.chain, key), key, slot, issued.reattestable)
            if roots:
                # At once: a join token is used up by now, and neither a crash nor a refusal may cost what it gave.
                self.keep(node)
            await self._learn_bundle(client, roots)
        if not roots:
            self.keep(node)
        if not known:
            parts.bootstrap.succeeded()
        return node

    def keep(self, node: NodeSvid) -> None:
        """Store the SVID. If the disk does not take it, the agent goes on with what it has in memory."""
        try:
            self._parts.storage.store_svid(node.svid.chain, reattestable=node.reattestable)
        except AssayError as error:
            log.warning("Could not store SVID", error=str(error))

    def forget(self) -> None:
        """Remove the SVID from disk, so that the next start attests."""
        try:
            self._parts.storage.delete_svid()
        except AssayError as error:
            log.error("Failed to remove SVID", error=str(error))  # noqa: TRY400 - the disk's state, no bug

    def lose_trust(self) -> None:
        """Give up SVID and bundle: what comes next asks the bundle's source."""
        self._parts.roots.adopt(())
        self._parts.bootstrap.begin_again()

    async def _attest_measured(self, slot: str, key: SigningKey) -> NodeSvid:
        with measured(self._parts.metrics, NEW_SVID, (("attestor", self._parts.attestor.type),)):
            return await self.attest(slot, key)

    async def _with_retries(self, work: Callable[[], Awaitable[T]]) -> T:
        clock, bootstrap = self._parts.clock, self._parts.bootstrap
        limit = GIVE_UP_REBOOTSTRAP_AFTER if bootstrap.enabled else GIVE_UP_AFTER
        started, failures, began = clock.monotonic(), 0, clock.now().timestamp()
        while True:
            self._gauge_bootstrap(began, failures + 1)
            try:
                done = await work()
            except AssayError as error:
                failures += 1
                delay = FIRST_ATTESTATION.delay(failures, self._parts.draw())
                if error.kind is Kind.PERMISSION_DENIED or clock.monotonic() - started + delay > limit:
                    raise
                if isinstance(error, UntrustedServerError):
                    self._distrust()
                log.warning("Failed to retrieve attestation result", error=str(error), retry_interval=f"{delay:.3f}s")
                await clock.sleep(delay)
            else:
                self._gauge_bootstrap(0, 0)
                return done

    def _distrust(self) -> None:
        if not self._parts.roots():
            log.info("Trust Bundle and Server don't agree, bootstrapping again")
        elif self._parts.bootstrap.lost():
            self.lose_trust()

    def _gauge_bootstrap(self, began: float, attempts: int) -> None:
        """Say since when (Unix seconds), and how often, the first attestation is tried; zeros once it is done."""
        metrics, mode = self._parts.metrics, (("mode", "rebootstrap" if self._parts.bootstrap.again else "bootstrap"),)
        metrics.gauge(("bootstrapped",), 0 if attempts else 1)
        metrics.gauge(("bootstrap_seconds",), int(began), mode)
        metrics.gauge(("bootstrap_attempts",), attempts, mode)

    async def _learn_bundle(self, client: ServerClient, roots: Sequence[bytes]) -> None:
        try:
            self._parts.roots.update(await client.bundle())
        except AssayError as error:
            if not roots:
                raise
            log.warning("Could not fetch bundle; using the one known so far", error=str(error))
            self._parts.roots.adopt(roots)

    def _say(self, what: str) -> None:
        log.info(what, trust_domain_id=str(self._parts.trust_domain.id))

    async def _check_bundle(self) -> None:
        if not self._parts.roots():
            self._parts.roots.adopt(await self._with_retries(self._parts.bootstrap.fetch))
        if not self._parts.roots():
            raise FailedPreconditionError(
                "SVID loaded but no bundle in cache", hint="remove agent-data.json from data_dir to attest anew"
            )


def parse_issued(chain: Sequence[bytes], key: SigningKey) -> X509Svid:
    """The SVID the server sent for that key; raises UnavailableError when it is none."""
    try:
        return X509Svid.parse(chain, key)
    except InvalidArgumentError as error:
        raise UnavailableError(f"failed to parse attestation response: {error}") from error
