"""The server's own SVID and the roots it takes callers by, kept fresh in the TLS listener."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog

from assay.bundle import Bundle
from assay.clock import Clock
from assay.crypto import keys
from assay.errors import AssayError
from assay.keymanager.base import KeyType, SigningKey
from assay.spiffeid import SpiffeId, TrustDomain
from assay.telemetry.metrics import OFF, Metrics, measured
from assay.transport.tls import TlsIdentity
from assay_server.credential import IssuedX509, Issuer
from assay_server.datastore.base import ChangeKind, Store
from assay_server.datastore.follow import follow

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0
_RETRY_SECONDS = 1.0

Roots = Mapping[TrustDomain, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class _Own:
    """An SVID with its key."""

    svid: IssuedX509
    key: SigningKey


class ServerIdentity:
    """Issues the server's SVID, anew at half its life or when its authority is tainted, and follows the bundles.

    `admitted` are the trust domains, besides our own, whose administrators may call, `known` those whose authorities
    are of use all the same.
    """

    def __init__(
        self,
        tls: TlsIdentity,
        issuer: Issuer,
        store: Store,
        clock: Clock,
        admitted: Collection[TrustDomain] = (),
        metrics: Metrics = OFF,
        known: Collection[TrustDomain] = (),
    ) -> None:
        self._metrics = metrics
        self._tls = tls
        self._issuer = issuer
        self._store = store
        self._clock = clock
        self._always = frozenset({tls.trust_domain, *known})
        self._trust_domains = self._always | frozenset(admitted)
        self._own = self._issue()
        self._roots: Roots = {}

    @property
    def chain(self) -> Sequence[bytes]:
        """The server's X.509-SVID (DER, leaf first)."""
        return self._own.svid.chain

    def credentials(self) -> tuple[Sequence[bytes], SigningKey]:
        """The server's X.509-SVID (DER, leaf first) and its key."""
        own = self._own
        return own.svid.chain, own.key

    def roots(self, trust_domain: TrustDomain) -> Sequence[bytes]:
        """The authorities (DER) of a trust domain that is followed; none of another."""
        return self._roots.get(trust_domain, ())

    async def start(self) -> None:
        """Be ready for the first handshake."""
        await self._read_roots()

    async def admit(self, admin_ids: Collection[SpiffeId]) -> None:
        """Take these administrators, with the roots of their trust domains, and no more those of before.

        Raises:
            UnavailableError: the bundles cannot be read; then nothing changes.
        """
        trust_domains = self._always | {one.trust_domain for one in admin_ids}
        roots = await self._roots_of(trust_domains)
        self._trust_domains = trust_domains
        self._tls.admit(admin_ids)
        self._take(roots)

    async def run(self) -> None:
        """Rotate and follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._rotate())
            tasks.create_task(self._follow())

    def _issue(self) -> _Own:
        log.debug("Rotating server SVID")
        with measured(self._metrics, ("svid", "rotate")):
            key = keys.generate(KeyType.EC_P256)
            return _Own(self._issuer.server_x509(key.public_key()), key)

    def _present(self) -> None:
        self._tls.set(self._own.svid.chain, self._own.key, self._roots)

    async def _rotate(self) -> None:
        while True:
            await self._clock.sleep(CHECK_SECONDS)
            if past_half_life(self._own.svid, self._clock.now().timestamp()):
                self._renew()

    def _renew(self) -> None:
        try:
            self._own = self._issue()
        except AssayError as error:
            log.error("Could not rotate server SVID", error=str(error))  # noqa: TRY400 - a refusal; tried again soon
            return
        self._present()
        log.debug("Server SVID rotated", expiration=self._own.svid.not_after)

    async def _follow(self) -> None:
        async for changes in follow(self._store):
            names = {trust_domain.name for trust_domain in self._trust_domains}
            if changes is None or any(one.kind is ChangeKind.BUNDLE and one.object_id in names for one in changes):
                await self._read_roots()

    async def _read_roots(self) -> None:
        trust_domains = self._trust_domains
        roots = await self._roots_of(trust_domains)
        # Not when other trust domains were admitted meanwhile: their roots are there already.
        if trust_domains is self._trust_domains:
            self._take(roots)

    async def _roots_of(self, trust_domains: Collection[TrustDomain]) -> Roots:
        bundles = await self._store.read(lambda tx: tx.bundles.get_many(trust_domains))
        return {bundle.trust_domain: roots_of(bundle) for bundle in bundles}

    def _take(self, roots: Roots) -> None:
        if roots != self._roots:
            self._roots = roots
            self._present()


def past_half_life(svid: IssuedX509, now: float) -> bool:
    """Whether half of its life is over."""
    return now > svid.not_before + (svid.not_after - svid.not_before) / 2


def roots_of(bundle: Bundle) -> tuple[bytes, ...]:
    """The certificates (DER) that vouch for callers; tainted ones do, until they are revoked."""
    return tuple(authority.der for authority in bundle.x509_authorities)
