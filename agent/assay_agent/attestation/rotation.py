"""The agent's SVID through its life: renewed in time, replaced or given up when the server says so."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from assay.backoff import Backoff
from assay.bundle import Bundle
from assay.crypto import csr
from assay.errors import AssayError, DenialReason, Kind, PermissionDeniedError, UnavailableError
from assay.keymanager.base import KeyType
from assay.rotation import rest
from assay.spiffeid import SpiffeId
from assay.telemetry.metrics import measured
from assay.waiting import first_of
from assay_agent.attestation.decision import Reaction, expired, other_slot, reaction
from assay_agent.attestation.identity import AgentIdentity, NodeSvid
from assay_agent.attestation.node import NodeAttestation, NodeParts, parse_issued
from assay_agent.cache.vouched import sound_authorities, tainted_keys, vouched
from assay_agent.client.refusal import UntrustedServerError
from assay_agent.client.server import ServerClient

log = structlog.get_logger(__name__)

RETRY = Backoff(first=5, limit=120)
# The wall clock may jump, and a laptop sleep: never trust one long wait.
LONGEST_LOOK_AWAY = 60.0


class NodeRotation:
    """Keeps `identity` alive. `client` presents it to the server."""

    def __init__(
        self,
        identity: AgentIdentity,
        attestation: NodeAttestation,
        parts: NodeParts,
        client: ServerClient,
        availability_target: float | None = None,
    ) -> None:
        self._identity = identity
        self._attestation = attestation
        self._parts = parts
        self._client = client
        self._target = availability_target
        self._renewing = asyncio.Lock()
        self._rested = -math.inf
        self._tainted: frozenset[str] = frozenset()
        self._sound: frozenset[bytes] = frozenset()
        self._forced: NodeSvid | None = None
        self._wake = asyncio.Event()

    def use_target(self, availability_target: float | None) -> None:
        """Have the SVID renewed by this one from now on."""
        self._target = availability_target
        self._wake.set()

    async def run(self) -> None:
        """Renew whenever it is time.

        Raises:
            AssayError: the SVID has expired or been refused and cannot be replaced.
        """
        failures = 0
        while True:
            used = self._current
            try:
                await self._renew_if_due()
                failures = 0
            except AssayError as error:
                failures += 1
                await self._after_failure(error, used)
            self._wake.clear()
            await first_of(self._wake.wait(), self._parts.clock.sleep(self._pause(failures)))

    def take_bundle(self, bundle: Bundle) -> None:
        """Trust the server by this bundle from now on, and renew an SVID at once that it does not vouch for any more.

        That is one whose authority is tainted, or has left the bundle.
        """
        self._parts.roots.update(bundle)
        tainted, self._tainted = self._tainted, tainted_keys(bundle)
        sound, self._sound = self._sound, sound_authorities(bundle)
        new = self._tainted - tainted
        if new:
            log.debug("New tainted X.509 authorities found", subject_key_ids=",".join(sorted(new)))
        if not new and sound <= self._sound:
            return
        if not vouched(self._current.svid, bundle, self._parts.clock.now()):
            gone = "Agent SVID is of an authority that has left the bundle, forcing rotation"
            log.info("Agent SVID is tainted by a root authority, forcing rotation" if new else gone)
            self._forced = self._current
            self._wake.set()

    @property
    def spiffe_id(self) -> SpiffeId:
        """The agent's ID."""
        return self._current.spiffe_id

    @asynccontextmanager
    async def heeding(self) -> AsyncGenerator[None]:
        """Do what a refusal of the agent asks for, and leave quietly when the agent can try again.

        A server that the bundle does not vouch for is met anew, where that is allowed, after the delay.

        Raises:
            PermissionDeniedError: with a reason, the agent's right has ended for good and its SVID is removed.
            AssayError: any other failure.
        """
        used = self._current
        try:
            yield
        except PermissionDeniedError as error:
            await self.recover(error, used)
        except UntrustedServerError as error:
            await self._rebootstrap(error, used)

    async def recover(self, error: PermissionDeniedError, used: NodeSvid) -> None:
        """Do what the server's refusal of `used` asks for; returns when there is another SVID to try with.

        Raises:
            PermissionDeniedError: the agent is banned, or may not attest again: its SVID is removed.
            AssayError: attesting failed for now.
        """
        async with self._renewing:
            if self._current is not used:
                return  # renewed meanwhile: the refusal was of the old one
            match reaction(error):
                case Reaction.STOP:
                    log.warning("Agent is banned: removing SVID and shutting down", error=str(error))
                    self._attestation.forget()
                    raise error
                case Reaction.REATTEST:
                    await self._replace(error)
                case Reaction.RETRY:
                    raise error

    async def _replace(self, denial: PermissionDeniedError) -> None:
        if not self._current.reattestable and denial.reason is not DenialReason.AGENT_MUST_REATTEST:
            log.error("Agent needs to re-attest: removing SVID and shutting down", error=str(denial))
            self._attestation.forget()
            raise denial
        log.warning("Agent needs to re-attest; will attempt to re-attest", error=str(denial))
        try:
            await self._reattest()
        except AssayError as error:
            if error.kind is Kind.UNAVAILABLE:
                raise
            log.error(  # noqa: TRY400 - a refusal, no bug
                "Agent failed re-attestation; removing SVID and shutting down", error=str(error)
            )
            self._attestation.forget()
            raise denial from error

    async def _rebootstrap(self, error: UntrustedServerError, used: NodeSvid) -> None:
        """Attest to the server that the bundle's source vouches for now, if it is time for that.

        SPIRE's agent ends here and leaves it to its next start. This one goes on serving what it has meanwhile.
        """
        async with self._renewing:
            if self._current is not used:
                return
            if self._parts.roots():
                if not self._parts.bootstrap.lost():
                    raise error
                self._attestation.lose_trust()
            try:
                await self._reattest()
            except PermissionDeniedError as denial:
                log.error("Agent failed re-attestation; shutting down", error=str(denial))  # noqa: TRY400 - a refusal, no bug
                reason = denial.reason or DenialReason.AGENT_NOT_ATTESTED
                raise PermissionDeniedError(denial.message, reason=reason, hint=denial.hint) from error

    async def _renew_if_due(self) -> None:
        async with self._renewing:
            if self._now < self._renew_at and self._current is not self._forced:
                return
            if self._current.reattestable:
                await self._reattest()
            else:
                with measured(self._parts.metrics, ("agent_svid", "rotate")):
                    await self._rotate()

    async def _reattest(self) -> None:
        log.debug("Reattesting node")
        slot = other_slot(self._current.slot)
        with measured(self._parts.metrics, ("node", "attest")):
            node = await self._attestation.attest(slot, await self._parts.keys.generate(slot, KeyType.EC_P256))
        log.info("Successfully reattested node", spiffe_id=str(node.spiffe_id))
        await self._use(node)

    async def _rotate(self) -> None:
        log.debug("Rotating agent SVID")
        slot = other_slot(self._current.slot)
        key = await self._parts.keys.generate(slot, KeyType.EC_P256)
        node = NodeSvid(parse_issued(await self._client.renew(csr.create(key)), key), key, slot, reattestable=False)
        self._attestation.keep(node)
        log.info("Successfully rotated agent SVID", spiffe_id=str(node.spiffe_id))
        await self._use(node)

    async def _use(self, node: NodeSvid) -> None:
        self._rested = self._parts.clock.monotonic() + rest(node.svid.not_after - self._now)
        self._identity.use(node)
        await self._client.renewed()

    async def _after_failure(self, error: AssayError, used: NodeSvid) -> None:
        """Log the failure and do what it asks for; raise it when no later attempt can succeed."""
        what = "reattest agent" if used.reattestable else "rotate agent SVID"
        log.error(f"Could not {what}", error=str(error))  # noqa: G004 - SPIRE's two messages
        if isinstance(error, PermissionDeniedError) and error.reason is not None:
            with contextlib.suppress(UnavailableError):
                await self.recover(error, used)
        elif expired(used.svid.not_after, self._now) and not used.reattestable:
            message = f"current SVID has already expired and {what} failed: {error.message}"
            raise UnavailableError(message, hint="attest this node anew, with a new join token") from error

    def _pause(self, failures: int) -> float:
        if failures:
            return RETRY.delay(failures, self._parts.draw())
        return min(LONGEST_LOOK_AWAY, max(0.0, self._renew_at - self._now))

    @property
    def _renew_at(self) -> float:
        resting = self._rested - self._parts.clock.monotonic()
        return max(self._now + resting, self._current.renew_at(self._target))

    @property
    def _current(self) -> NodeSvid:
        return self._identity.current

    @property
    def _now(self) -> float:
        return self._parts.clock.now().timestamp()
