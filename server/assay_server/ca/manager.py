"""The CA: keeps an active authority of each kind, and publishes the next one before its time comes.

Safe against a crash between any two steps, because each step leaves something a restart can tell apart:
a key without its journal line is overwritten by the next preparation; journal line and publication are one
transaction; activation is one transaction, and signing with the new key begins after it.
"""

from collections.abc import Sequence

import structlog

from assay.bundle import Bundle
from assay.clock import Clock
from assay.errors import AssayError, UnavailableError
from assay.keymanager import KeyManager, SigningKey
from assay.spiffeid import TrustDomain
from assay.telemetry.metrics import OFF, Metrics, measured
from assay_server.ca import publication, slots
from assay_server.ca.authority import AuthorityMaker, jwt_signer, key_id, wit_signer, x509_signer
from assay_server.ca.journal import check_trust_domain, unusable
from assay_server.ca.measure import KEYS, PRUNE, PRUNED, count_activated
from assay_server.ca.settings import CaSettings
from assay_server.ca.wording import WORDS, fields
from assay_server.credential import JwtSigner, WitSigner, X509Signer
from assay_server.datastore.base import Store, Transaction
from assay_server.model import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot

log = structlog.get_logger(__name__)

# Seconds between two looks at what is due, and between two prunings of the bundle.
TICK = 10
PRUNE_INTERVAL = 6 * 3600


class CaManager:
    """Implements credential.Authorities: `start` once, then `run`."""

    def __init__(
        self,
        store: Store,
        key_manager: KeyManager,
        clock: Clock,
        settings: CaSettings,
        trust_domain: TrustDomain,
        metrics: Metrics = OFF,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._key_manager = key_manager
        self._clock = clock
        self._trust_domain = trust_domain
        self._maker = AuthorityMaker(trust_domain, settings)
        self._kinds = tuple(settings.key_types)
        self._journal: tuple[AuthorityRecord, ...] = ()
        self._keys: dict[str, SigningKey] = {}  # by authority ID; journal lines without one are unusable
        self._x509: X509Signer | None = None
        self._jwt: JwtSigner | None = None
        self._wit: WitSigner | None = None
        self._failures = dict.fromkeys(self._kinds, 0)

    @property
    def failed_rotations(self) -> int:
        """How often in a row rotation failed of the kind of key that it fails most of."""
        return max(self._failures.values())

    @property
    def x509(self) -> X509Signer:
        """The active X.509 CA.

        Raises:
            UnavailableError: there is none.
        """
        if self._x509 is None:
            raise UnavailableError("X509 CA is not available for signing")
        return self._x509

    @property
    def jwt(self) -> JwtSigner:
        """The active JWT key.

        Raises:
            UnavailableError: there is none.
        """
        if self._jwt is None:
            raise UnavailableError("JWT key is not available for signing")
        return self._jwt

    @property
    def wit(self) -> WitSigner:
        """The active WIT key.

        Raises:
            UnavailableError: there is none.
        """
        if self._wit is None:
            raise UnavailableError("WIT key is not available for signing")
        return self._wit

    async def start(self) -> None:
        """Take up the journal and see to it that something can sign.

        Raises:
            FailedPreconditionError: the journal is another trust domain's.
            AssayError: nothing can sign, since the store or the key manager refuses.
        """
        await self._load()
        for kind in self._kinds:
            await self._rotate(kind)
        await self._prune()

    async def run(self) -> None:
        """Rotate and prune when it is time, for ever; a failure is logged and tried again at the next tick."""
        prune_at = self._clock.monotonic() + PRUNE_INTERVAL
        while True:
            await self._clock.sleep(TICK)
            for kind in self._kinds:
                await self._rotate(kind)
            if self._clock.monotonic() >= prune_at:
                prune_at += PRUNE_INTERVAL
                await self._prune()

    async def _load(self) -> None:
        def read(tx: Transaction) -> tuple[list[AuthorityRecord], Bundle | None]:
            return tx.authorities.load(), tx.bundles.get(self._trust_domain)

        records, bundle = await self._store.read(read)
        check_trust_domain(records, self._trust_domain)
        self._journal = tuple(records)
        log.info(
            "Journal loaded",
            x509_cas=_count(records, AuthorityKind.X509),
            jwt_keys=_count(records, AuthorityKind.JWT),
            wit_keys=_count(records, AuthorityKind.WIT),
        )
        # Lines of a kind that is switched off are kept for when it is switched on again.
        for record in records:
            if record.kind in self._kinds:
                await self._take_up(record, bundle)

    async def _take_up(self, record: AuthorityRecord, bundle: Bundle | None) -> None:
        key = await self._key_manager.get(record.key_id)
        reason = unusable(record, key, bundle, int(self._clock.now().timestamp()))
        if key is None or reason:
            log.warning(WORDS[record.kind].unusable, error=reason, **fields(record))
            return
        self._keys[record.authority_id] = key
        if record.status is AuthorityStatus.ACTIVE:
            self._sign_with(record)

    async def _rotate(self, kind: AuthorityKind) -> None:
        usable = [record for record in self._of(kind) if record.authority_id in self._keys]
        try:
            for action in slots.plan(int(self._clock.now().timestamp()), usable):
                if action.step is slots.Step.PREPARE:
                    with measured(self._metrics, ("ca", "manager", KEYS[kind], "prepare")):
                        await self._prepare(kind, action.slot)
                else:
                    await self._activate(kind, action.slot)
            self._failures[kind] = 0
        except Exception as error:
            self._failures[kind] += 1
            _report(WORDS[kind].failed, error)
            if self._signer(kind) is None:
                raise

    async def _prepare(self, kind: AuthorityKind, slot: Slot) -> None:
        log.debug(WORDS[kind].preparing, slot=slot.value)
        key = await self._key_manager.generate(key_id(kind, slot), self._maker.key_type(kind))
        record = self._maker.record(kind, slot, key, self._clock.now())
        journal = (*self._except(kind), *slots.put(self._of(kind), record))

        def write(tx: Transaction) -> None:
            bundle = tx.bundles.get(self._trust_domain) or Bundle(self._trust_domain)
            tx.authorities.save(journal)
            tx.bundles.put(publication.publish(bundle, record))

        await self._store.write(write)
        self._journal = journal
        self._keys[record.authority_id] = key
        log.info(WORDS[kind].prepared, **fields(record))

    async def _activate(self, kind: AuthorityKind, slot: Slot) -> None:
        journal = (*self._except(kind), *slots.activate(self._of(kind), slot))
        await self._store.write(lambda tx: tx.authorities.save(journal))
        self._journal = journal
        active = next(record for record in self._of(kind) if record.slot is slot)
        self._sign_with(active)

    def _sign_with(self, record: AuthorityRecord) -> None:
        key = self._keys[record.authority_id]
        log.info(WORDS[record.kind].activated, **fields(record))
        count_activated(self._metrics, record, self._clock.now(), self._trust_domain)
        if record.kind is AuthorityKind.JWT:
            self._jwt = jwt_signer(record, key)
            return
        if record.kind is AuthorityKind.WIT:
            self._wit = wit_signer(record, key)
            return
        self._x509 = x509_signer(record, key)
        remaining = record.not_after - self._clock.now().timestamp()
        log.debug("Successfully rotated X.509 CA", trust_domain_id=str(self._trust_domain.id), ttl=remaining)

    def _signer(self, kind: AuthorityKind) -> object:
        return {AuthorityKind.X509: self._x509, AuthorityKind.JWT: self._jwt, AuthorityKind.WIT: self._wit}[kind]

    async def _prune(self) -> None:
        now = int(self._clock.now().timestamp())

        def write(tx: Transaction) -> bool:
            bundle = tx.bundles.get(self._trust_domain)
            pruned = publication.prune(bundle, now) if bundle else None
            if pruned is None or pruned == bundle:
                return False
            tx.bundles.put(pruned)
            return True

        try:
            with measured(self._metrics, PRUNE):
                pruned = await self._store.write(write)
            if pruned:
                self._metrics.count(PRUNED)
                log.debug("Expired certificates were successfully pruned from bundle")
        except Exception as error:  # noqa: BLE001 - reported; the next pruning may succeed
            _report("Could not prune CA certificates", error)

    def _of(self, kind: AuthorityKind) -> list[AuthorityRecord]:
        return [record for record in self._journal if record.kind is kind]

    def _except(self, kind: AuthorityKind) -> list[AuthorityRecord]:
        return [record for record in self._journal if record.kind is not kind]


def _count(records: Sequence[AuthorityRecord], kind: AuthorityKind) -> int:
    return sum(record.kind is kind for record in records)


def _report(message: str, error: Exception) -> None:
    log.error(message, error=str(error), exc_info=None if isinstance(error, AssayError) else error)
