"""Attesting the node: once at first, and again whenever the SVID is renewed that way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
from assay_agent.attestation.bootstrap import Bootstrap
from assay_agent.attestation.decision import other_slot
from assay_agent.attestation.identity import NodeSvid, TrustRoots
from assay_agent.attestation.recovery import recover
from assay_agent.client.server import ServerClient
from assay_agent.storage.disk import AgentStorage

log = structlog.get_logger(__name__)

FIRST_ATTESTATION = Backoff(first=5, limit=120)
GIVE_UP_AFTER = 60.0  # seconds
NEW_SVID = ("node", "attestor", "new_svid")

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
    bootstrap: Bootstrap
    clock: Clock
    draw: Callable[[], float]
    metrics: Metrics = OFF


class NodeAttestation:
    """Gets the agent its SVID."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    async def establish(self) -> NodeSvid:
        """The SVID of the last run while it lives, else a new one.

        Failures are retried for a minute; that the server denies permission is final.

        Raises:
            AssayError: the last failure.
        """
        parts = self._parts
        log.info(
            "Bundle loaded" if parts.roots() else "Bundle is not found", trust_domain_id=str(parts.trust_domain.id)
        )
        found = await recover(parts.storage.data, parts.keys, parts.trust_domain, parts.clock.now().timestamp())
        if found.node is not None:
            self._check_bundle()
            log.info("SVID loaded", spiffe_id=str(found.node.spiffe_id))
            return found.node
        log.info("SVID is not found. Starting node attestation")
        slot = other_slot(found.slot)
        return await self._attest_with_retries(slot, await parts.keys.generate(slot, KeyType.EC_P256))

    async def attest(self, slot: str, key: SigningKey) -> NodeSvid:
        """Attest with that key, then store SVID and bundle.

        Raises:
            AssayError: no SVID was issued; nothing is stored.
        """
        parts = self._parts
        roots = parts.roots() or parts.bootstrap.load()
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

    async def _attest_with_retries(self, slot: str, key: SigningKey) -> NodeSvid:
        clock = self._parts.clock
        started, failures, began = clock.monotonic(), 0, clock.now().timestamp()
        while True:
            self._gauge_bootstrap(began, failures + 1)
            try:
                with measured(self._parts.metrics, NEW_SVID, (("attestor", self._parts.attestor.type),)):
                    node = await self.attest(slot, key)
            except AssayError as error:
                failures += 1
                delay = FIRST_ATTESTATION.delay(failures, self._parts.draw())
                if error.kind is Kind.PERMISSION_DENIED or clock.monotonic() - started + delay > GIVE_UP_AFTER:
                    raise
                log.warning("Failed to retrieve attestation result", error=str(error), retry_interval=f"{delay:.3f}s")
                await clock.sleep(delay)
            else:
                self._gauge_bootstrap(0, 0)
                log.info(
                    "Node attestation was successful", spiffe_id=str(node.spiffe_id), reattestable=node.reattestable
                )
                return node

    def _gauge_bootstrap(self, began: float, attempts: int) -> None:
        """Say since when (Unix seconds), and how often, the first attestation is tried; zeros once it is done."""
        metrics, mode = self._parts.metrics, (("mode", "bootstrap"),)
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

    def _check_bundle(self) -> None:
        if not self._parts.roots():
            self._parts.roots.adopt(self._parts.bootstrap.load())
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
