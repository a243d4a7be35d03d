"""The CA over a real database and real keys: rotation, restarts, crashes and full disks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from assay.bundle import Bundle
from assay.crypto.keys import accepted, same_key, to_pkix
from assay.errors import FailedPreconditionError, UnavailableError
from assay.keymanager import KeyManager, KeyType, SigningKey
from assay.keymanager.disk import DiskKeyManager
from assay.keymanager.memory import MemoryKeyManager
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import jwt
from assay.svid.x509 import verify
from assay.testing.authority import Ca
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay_server.ca import CaManager, CaSettings
from assay_server.credential import CredentialSettings, Issuer
from assay_server.credential.leaf import LeafOrder
from assay_server.datastore.base import ChangeKind, Store, Transaction, Written
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot

T = TypeVar("T")
HOME = TrustDomain("example.org")
WEB = SpiffeId(HOME, "/web")
HOUR, DAY = 3600, 24 * 3600
KEY = Ca.create("any").key.public_key()


@pytest.fixture
def keys(tmp_path: Path) -> DiskKeyManager:
    return DiskKeyManager(tmp_path / "keys.json")


DEFAULT = CaSettings()


def ca_of(store: Store, keys: KeyManager, clock: FakeClock, settings: CaSettings = DEFAULT) -> CaManager:
    return CaManager(store, keys, clock, settings, HOME)


async def started(store: Store, keys: KeyManager, clock: FakeClock, settings: CaSettings = DEFAULT) -> CaManager:
    ca = ca_of(store, keys, clock, settings)
    await ca.start()
    return ca


async def bundle_of(store: Store) -> Bundle:
    bundle = await store.read(lambda tx: tx.bundles.get(HOME))
    assert bundle is not None
    return bundle


async def journal_of(store: Store, kind: AuthorityKind = AuthorityKind.X509) -> dict[Slot, AuthorityRecord]:
    records = await store.read(lambda tx: tx.authorities.load())
    return {record.slot: record for record in records if record.kind is kind}


async def check_serves(ca: CaManager, store: Store, clock: FakeClock) -> None:
    """What is issued now, everyone who has the bundle accepts."""
    issuer = Issuer(HOME, ca, clock, CredentialSettings())
    bundles = {HOME: await bundle_of(store)}
    assert verify(issuer.workload_x509(KEY, WEB).chain, bundles, clock.now()) == WEB
    assert jwt.verify(issuer.workload_jwt(WEB, ["a"]).token, bundles, "a", clock.now()).spiffe_id == WEB


Pass = Callable[[int], Awaitable[None]]


@asynccontextmanager
async def running(ca: CaManager, clock: FakeClock) -> AsyncIterator[Pass]:
    """The CA's loop; what this gives lets so many hours pass, with a tick in each."""

    async def hours(count: int) -> None:
        for _ in range(count):
            clock.advance(HOUR)
            await clock.wait_sleepers()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ca.run())
        await clock.wait_sleepers()
        yield hours
        task.cancel()


@pytest.mark.spec("ID-3.1-a", "ID-3.1-b", "ID-3.1-c", "ID-3.1-d", "ID-3.1-e", "TDB-2-a")
@pytest.mark.spec("X509-3.2-c")
async def test_a_first_start_makes_one_authority_of_each_kind(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    with pytest.raises(UnavailableError, match="X509 CA is not available"):
        _ = ca_of(store, keys, clock).x509
    with pytest.raises(UnavailableError, match="JWT key is not available"):
        _ = ca_of(store, keys, clock).jwt
    ca = await started(store, keys, clock)
    await check_serves(ca, store, clock)
    bundle = await bundle_of(store)
    assert (len(bundle.x509_authorities), len(bundle.jwt_authorities), bundle.sequence) == (1, 1, 1)
    certificate = ca.x509.certificate
    certificate.verify_directly_issued_by(certificate)
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.org"]
    assert certificate.subject.rfc4514_string() == f"2.5.4.5={certificate.serial_number},O=SPIFFE,C=US"
    assert not same_key(ca.x509.key.public_key(), ca.jwt.key.public_key())


async def test_keys_have_spires_names_and_authorities_their_ids(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    ca = await started(store, keys, clock)
    assert await keys.get("x509-CA-A") is not None
    assert await keys.get("JWT-Signer-A") is not None
    key_id = x509.SubjectKeyIdentifier.from_public_key(accepted(ca.x509.certificate.public_key())).digest
    assert ca.x509.authority_id == key_id.hex()
    assert len(ca.jwt.key_id) == 32
    assert ca.jwt.key_id.isalnum()
    assert ca.jwt.key_id.isascii()


@pytest.mark.spec("TDB-4.1.1-b", "TDB-4.1.1-c")
async def test_a_restart_goes_on_with_the_same(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock, tmp_path: Path
) -> None:
    first = await started(store, keys, clock)
    sequence = (await bundle_of(store)).sequence
    second = await started(store, DiskKeyManager(tmp_path / "keys.json"), clock)
    assert second.x509.authority_id == first.x509.authority_id
    assert second.jwt.key_id == first.jwt.key_id
    assert (await bundle_of(store)).sequence == sequence
    await check_serves(second, store, clock)


@pytest.mark.spec("FED-4.1-b")
async def test_authorities_rotate_at_half_and_five_sixths_of_life(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    ca = await started(store, keys, clock)
    first, first_jwt = ca.x509.authority_id, ca.jwt.key_id
    async with running(ca, clock) as hours:
        await hours(11)
        assert len((await bundle_of(store)).x509_authorities) == 1
        await hours(1)
        bundle = await bundle_of(store)
        assert (len(bundle.x509_authorities), len(bundle.jwt_authorities)) == (2, 2)
        assert (ca.x509.authority_id, ca.jwt.key_id) == (first, first_jwt)
        await hours(7)
        assert ca.x509.authority_id == first
        await hours(1)
    assert ca.x509.authority_id != first
    assert ca.jwt.key_id != first_jwt
    journal = await journal_of(store)
    assert (journal[Slot.A].status, journal[Slot.B].status) == (AuthorityStatus.OLD, AuthorityStatus.ACTIVE)
    await check_serves(ca, store, clock)


@pytest.mark.spec("TDB-4.1.1-b", "FED-4.1-b")
async def test_a_fortnight_of_rotations_never_fails_a_peer_and_leaves_few_behind(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    ca = await started(store, keys, clock)
    known = {HOME: await bundle_of(store)}
    issuer = Issuer(HOME, ca, clock, CredentialSettings())
    sequences = [known[HOME].sequence]
    async with running(ca, clock) as hours:
        for _ in range(14 * 24):
            await hours(1)
            # A peer whose bundle is an hour old takes what is issued now.
            assert verify(issuer.workload_x509(KEY, WEB).chain, known, clock.now()) == WEB
            known = {HOME: await bundle_of(store)}
            sequences.append(known[HOME].sequence)
    assert sequences == sorted(sequences)
    assert len(known[HOME].x509_authorities) <= 5
    assert len(known[HOME].jwt_authorities) <= 5


async def test_the_log_has_spires_words(store: SqlStore, keys: DiskKeyManager, clock: FakeClock) -> None:
    with capture_logs() as logs:
        await started(store, keys, clock)
    assert [line["event"] for line in logs] == [
        "Journal loaded",
        "Preparing X509 CA",
        "X509 CA prepared",
        "X509 CA activated",
        "Successfully rotated X.509 CA",
        "Preparing JWT key",
        "JWT key prepared",
        "JWT key activated",
    ]
    prepared = logs[2]
    assert prepared["slot"] == "A"
    assert prepared["issued_at"] == "2026-01-01T00:00:00Z"
    assert prepared["expiration"] == "2026-01-02T00:00:00Z"
    assert prepared["local_authority_id"] == next(iter((await journal_of(store)).values())).authority_id


@pytest.mark.parametrize("key_type", [KeyType.EC_P384, KeyType.RSA_2048])
async def test_kinds_of_keys_and_the_subject_are_configured(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock, key_type: KeyType
) -> None:
    ca = await started(store, keys, clock, CaSettings(x509_key_type=key_type, jwt_key_type=key_type, ttl=HOUR))
    assert (
        ca.x509.key.key_size == ca.jwt.key.key_size == int("".join(filter(str.isdigit, key_type.value.split("-")[1])))
    )
    assert ca.jwt.not_after == int(clock.now().timestamp()) + HOUR
    await check_serves(ca, store, clock)


async def test_an_endless_lifetime_ends_with_the_calendar(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    ca = await started(store, keys, clock, CaSettings(ttl=2**40))
    assert ca.x509.certificate.not_valid_after_utc.year == 9999
    await check_serves(ca, store, clock)


async def test_keys_in_memory_are_replaced_and_the_old_authorities_stay_published(
    store: SqlStore, clock: FakeClock
) -> None:
    first = await started(store, MemoryKeyManager(), clock)
    issued = Issuer(HOME, first, clock, CredentialSettings()).workload_x509(KEY, WEB)
    with capture_logs() as logs:
        second = await started(store, MemoryKeyManager(), clock)
    assert [line["error"] for line in logs if line["event"] == "X509CA slot unusable"] == ["no key manager key"]
    assert second.x509.authority_id != first.x509.authority_id
    await check_serves(second, store, clock)
    assert verify(issued.chain, {HOME: await bundle_of(store)}, clock.now()) == WEB
    for _ in range(5):
        await started(store, MemoryKeyManager(), clock)
    journal = await journal_of(store)
    assert [record.status for record in journal.values()].count(AuthorityStatus.ACTIVE) == 1
    assert len((await bundle_of(store)).x509_authorities) == 7


async def test_a_server_that_was_away_for_long_starts_anew(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    first = await started(store, keys, clock)
    clock.advance(10 * DAY)
    second = await started(store, keys, clock)
    assert second.x509.authority_id != first.x509.authority_id
    await check_serves(second, store, clock)
    # The expired one is pruned at once: it is older than a day.
    assert len((await bundle_of(store)).x509_authorities) == 1


async def test_expired_authorities_are_pruned_every_six_hours(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    ca = await started(store, keys, clock)
    first = ca.x509.certificate
    async with running(ca, clock) as hours:
        await hours(47)
        assert any(_is(authority.der, first) for authority in (await bundle_of(store)).x509_authorities)
        await hours(7)
    assert not any(_is(authority.der, first) for authority in (await bundle_of(store)).x509_authorities)


@pytest.mark.spec("FED-4.1-b")
async def test_an_authority_that_is_not_published_does_not_sign(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    """As after a restored bundle: nobody could verify what it signs."""
    first = await started(store, keys, clock)
    await store.write(lambda tx: tx.bundles.delete(HOME))
    with capture_logs() as logs:
        second = await started(store, keys, clock)
    assert "not in the trust domain's bundle" in [line.get("error") for line in logs]
    assert second.x509.authority_id != first.x509.authority_id
    await check_serves(second, store, clock)


async def test_keys_of_another_database_are_not_used(store: SqlStore, keys: DiskKeyManager, clock: FakeClock) -> None:
    first = await started(store, keys, clock)
    await keys.generate("x509-CA-A", KeyType.EC_P256)
    with capture_logs() as logs:
        second = await started(store, keys, clock)
    assert "public key does not match key manager key" in [line.get("error") for line in logs]
    assert second.x509.authority_id != first.x509.authority_id
    await check_serves(second, store, clock)


async def test_another_trust_domains_datastore_is_refused_and_left_as_it_was(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    await started(store, keys, clock)
    before = await store.read(lambda tx: tx.authorities.load())
    other = CaManager(store, keys, clock, DEFAULT, TrustDomain("other.example"))
    with pytest.raises(FailedPreconditionError, match=r'"other\.example".*"spiffe://example\.org"'):
        await other.start()
    assert await store.read(lambda tx: tx.authorities.load()) == before
    await check_serves(await started(store, keys, clock), store, clock)


async def test_a_damaged_journal_line_is_passed_over(store: SqlStore, keys: DiskKeyManager, clock: FakeClock) -> None:
    await started(store, keys, clock)

    def damage(tx: Transaction) -> None:
        tx.authorities.save([replace(record, document=b"junk") for record in tx.authorities.load()])

    await store.write(damage)
    await check_serves(await started(store, keys, clock), store, clock)


class Crash(BaseException):
    """The process dies here: nothing may catch it."""


class CrashingStore:
    """A store in front of the real one that dies before or after its n-th write."""

    def __init__(self, store: SqlStore, write: int, *, after: bool) -> None:
        self._store = store
        self._left = write
        self._after = after

    @property
    def incarnation(self) -> str:
        return self._store.incarnation

    async def read(self, work: Callable[[Transaction], T]) -> T:
        return await self._store.read(work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Crash
        result = await self._store.write(work)
        if self._left == 0:
            raise Crash
        return result

    @property
    def sequence(self) -> int:
        return self._store.sequence

    def recent(self, sequence: int) -> Sequence[Written] | None:
        return self._store.recent(sequence)

    def newest(self, kind: ChangeKind, object_id: str) -> Written | None:
        return self._store.newest(kind, object_id)

    def watch(self) -> AsyncIterator[int]:
        return self._store.watch()

    async def close(self) -> None:
        await self._store.close()


class CrashingKeys:
    """A key manager in front of the real one that dies before or after its n-th generation."""

    def __init__(self, keys: KeyManager, generation: int, *, after: bool) -> None:
        self._keys = keys
        self._left = generation
        self._after = after

    async def generate(self, key_id: str, key_type: KeyType) -> SigningKey:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Crash
        key = await self._keys.generate(key_id, key_type)
        if self._left == 0:
            raise Crash
        return key

    async def get(self, key_id: str) -> SigningKey | None:
        return await self._keys.get(key_id)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 5))
@pytest.mark.parametrize("where", ["store", "keys"])
async def test_a_crash_at_any_step_of_the_first_start_is_recovered(
    store: SqlStore, tmp_path: Path, clock: FakeClock, where: str, step: int, after: bool
) -> None:
    path = tmp_path / "keys.json"
    real = DiskKeyManager(path)
    dying = ca_of(
        CrashingStore(store, step, after=after) if where == "store" else store,
        CrashingKeys(real, step, after=after) if where == "keys" else real,
        clock,
    )
    if where == "store" or step <= 2:
        with pytest.raises(Crash):
            await dying.start()
    else:
        await dying.start()
    ca = await started(store, DiskKeyManager(path), clock)
    await check_serves(ca, store, clock)
    bundle = await bundle_of(store)
    assert (len(bundle.x509_authorities), len(bundle.jwt_authorities)) == (1, 1)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 5))
async def test_a_crash_at_any_step_of_a_rotation_is_recovered(
    store: SqlStore, tmp_path: Path, clock: FakeClock, step: int, after: bool
) -> None:
    path = tmp_path / "keys.json"
    await started(store, DiskKeyManager(path), clock)
    known = {HOME: await bundle_of(store)}
    clock.advance(12 * HOUR)
    if step <= 2:  # writes of the preparations
        with pytest.raises(Crash):
            await ca_of(CrashingStore(store, step, after=after), DiskKeyManager(path), clock).start()
    await started(store, DiskKeyManager(path), clock)
    known = {HOME: await bundle_of(store)}
    clock.advance(8 * HOUR)
    if step > 2:  # writes of the activations
        with pytest.raises(Crash):
            await ca_of(CrashingStore(store, step - 2, after=after), DiskKeyManager(path), clock).start()
    ca = await started(store, DiskKeyManager(path), clock)
    await check_serves(ca, store, clock)
    issued = Issuer(HOME, ca, clock, CredentialSettings()).workload_x509(KEY, WEB)
    assert verify(issued.chain, known, clock.now()) == WEB
    assert len((await bundle_of(store)).x509_authorities) == 2


@pytest.mark.parametrize("generation", [1, 2])
async def test_a_crash_between_key_and_journal_loses_no_active_authority(
    store: SqlStore, tmp_path: Path, clock: FakeClock, generation: int
) -> None:
    path = tmp_path / "keys.json"
    first = await started(store, DiskKeyManager(path), clock)
    clock.advance(12 * HOUR)
    with pytest.raises(Crash):
        await ca_of(store, CrashingKeys(DiskKeyManager(path), generation, after=True), clock).start()
    second = await started(store, DiskKeyManager(path), clock)
    assert (second.x509.authority_id, second.jwt.key_id) == (first.x509.authority_id, first.jwt.key_id)
    assert len((await bundle_of(store)).x509_authorities) == 2
    await check_serves(second, store, clock)


async def test_when_keys_cannot_be_written_the_active_authority_goes_on(
    store: SqlStore, tmp_path: Path, clock: FakeClock
) -> None:
    keys = DiskKeyManager(tmp_path / "keys.json")
    ca = await started(store, keys, clock)
    first = ca.x509.authority_id
    blocker = tmp_path / "keys.json.tmp"
    blocker.mkdir()
    async with running(ca, clock) as hours:
        with capture_logs() as logs:
            await hours(12)
    failures = [line for line in logs if line["log_level"] == "error"]
    assert {line["event"] for line in failures} == {"Unable to rotate X509 CA", "Unable to rotate JWT key"}
    assert "unable to write keys file" in failures[0]["error"]
    await check_serves(ca, store, clock)
    blocker.rmdir()
    async with running(ca, clock) as hours:
        await hours(9)
    assert ca.x509.authority_id != first
    await check_serves(ca, store, clock)


async def test_a_restart_with_unwritable_keys_still_serves(store: SqlStore, tmp_path: Path, clock: FakeClock) -> None:
    await started(store, DiskKeyManager(tmp_path / "keys.json"), clock)
    clock.advance(12 * HOUR)
    (tmp_path / "keys.json.tmp").mkdir()
    await check_serves(await started(store, DiskKeyManager(tmp_path / "keys.json"), clock), store, clock)


async def test_a_first_start_with_unwritable_keys_is_refused(store: SqlStore, tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "keys.json.tmp").mkdir()
    with pytest.raises(UnavailableError, match="unable to write keys file"):
        await started(store, DiskKeyManager(tmp_path / "keys.json"), clock)


async def test_keys_of_spires_are_found_under_their_names(store: SqlStore, tmp_path: Path, clock: FakeClock) -> None:
    """SPIRE's keys.json without SPIRE's journal: its keys are not used, and their slots are."""
    path = tmp_path / "keys.json"
    spires = DiskKeyManager(path)
    before = await spires.generate("x509-CA-A", KeyType.EC_P256)
    ca = await started(store, DiskKeyManager(path), clock)
    assert to_pkix(ca.x509.key.public_key()) != to_pkix(before.public_key())


def _is(der: bytes, certificate: x509.Certificate) -> bool:
    return x509.load_der_x509_certificate(der) == certificate


async def test_what_a_ca_does_is_counted(store: SqlStore, keys: DiskKeyManager, clock: FakeClock) -> None:
    metrics = Recorded()
    ca = CaManager(store, keys, clock, DEFAULT, HOME, metrics)
    await ca.start()
    issuer = Issuer(HOME, ca, clock, CredentialSettings(), metrics)
    issuer.workload_jwt(WEB, ["a"])
    orders = [LeafOrder(to_pkix(KEY), WEB), LeafOrder(to_pkix(KEY), SpiffeId.parse("spiffe://other.test/x"))]
    issuer.workload_x509_each(orders)
    assert metrics.counts() == {
        ("ca.manager.x509_ca.prepare", "OK"): 1,
        ("ca.manager.x509_ca.activate", ""): 1,
        ("ca.manager.jwt_key.prepare", "OK"): 1,
        ("manager.jwt_key.activate", ""): 1,
        ("ca.manager.bundle.prune", "OK"): 1,
        ("server_ca.sign.jwt_svid", ""): 1,
        ("server_ca.sign.x509_svid", ""): 1,
    }
    gauges = {name: (labels, value) for kind, name, labels, value in metrics.taken if kind == "gauge"}
    labels = {"trust_domain_id": "example.org"}
    expiration = int(clock.now().timestamp()) + DAY
    assert gauges == {
        "manager.x509_ca.rotate.expiration": (labels, expiration),
        "manager.x509_ca.rotate.ttl": (labels, DAY),
    }
