"""The WIT key of the CA: off unless asked for, then with its turns like the others."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from assay.bundle import Bundle
from assay.crypto.keys import to_pkix
from assay.errors import UnavailableError
from assay.keymanager import KeyType
from assay.keymanager.disk import DiskKeyManager
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import wit
from assay.testing.authority import Ca
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay_server.ca import CaManager, CaSettings
from assay_server.credential import CredentialSettings, Issuer
from assay_server.datastore.base import Store
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import AuthorityKind, AuthorityRecord

HOME = TrustDomain("example.org")
WEB = SpiffeId(HOME, "/web")
DAY = 24 * 3600
KEY = Ca.create("any").key.public_key()
ON = CaSettings(wit=True)


@pytest.fixture
def keys(tmp_path: Path) -> DiskKeyManager:
    return DiskKeyManager(tmp_path / "keys.json")


async def started(
    store: Store, keys: DiskKeyManager, clock: FakeClock, settings: CaSettings = ON, metrics: Recorded | None = None
) -> CaManager:
    ca = CaManager(store, keys, clock, settings, HOME, metrics or Recorded())
    await ca.start()
    return ca


async def bundle_of(store: Store) -> Bundle:
    bundle = await store.read(lambda tx: tx.bundles.get(HOME))
    assert bundle is not None
    return bundle


async def journal_of(store: Store) -> list[AuthorityRecord]:
    records = await store.read(lambda tx: tx.authorities.load())
    return [record for record in records if record.kind is AuthorityKind.WIT]


async def check_serves(ca: CaManager, bundle: Bundle, clock: FakeClock) -> None:
    issuer = Issuer(HOME, ca, clock, CredentialSettings(wit=True))
    token = issuer.workload_wit(WEB, KEY, "ES256").token
    assert wit.verify(token, {HOME: bundle}, clock.now()).public_key == to_pkix(KEY)


@pytest.mark.spec("STAB-2.3-b", "WIT-6.2-b")
async def test_it_is_off_unless_asked_for(store: SqlStore, keys: DiskKeyManager, clock: FakeClock) -> None:
    ca = await started(store, keys, clock, CaSettings())
    with pytest.raises(UnavailableError, match="WIT key is not available"):
        _ = ca.wit
    assert (await bundle_of(store)).wit_authorities == ()
    assert await keys.get("WIT-Signer-A") is None


@pytest.mark.spec("WIT-2.1-a", "WIT-6.1-a", "WIT-6.1-b", "WIT-6.1-c")
async def test_a_first_start_makes_a_key_and_publishes_it(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    ca = await started(store, keys, clock)
    bundle = await bundle_of(store)
    (key,) = bundle.wit_authorities
    kept = await keys.get("WIT-Signer-A")
    assert kept is not None
    assert key.public_key == to_pkix(kept.public_key())
    assert (key.key_id, key.expires_at) == (ca.wit.key_id, ca.wit.not_after)
    assert key.expires_at == int(clock.now().timestamp()) + DAY
    assert len(key.key_id) == 32
    assert key.key_id not in {one.key_id for one in bundle.jwt_authorities}
    await check_serves(ca, bundle, clock)


@pytest.mark.spec("WIT-2.1-c")
async def test_a_restart_goes_on_with_the_same_and_turns_bring_new_ones(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    first = (await started(store, keys, clock)).wit
    assert (await started(store, keys, clock)).wit.key_id == first.key_id
    names = {first.key_id}
    for _ in range(6):
        clock.advance(DAY // 2 + 1)
        known = await bundle_of(store)
        ca = await started(store, keys, clock)  # prepares the next one at half of life
        await check_serves(ca, known, clock)
        clock.advance(DAY // 3 + 1)
        known = await bundle_of(store)
        ca = await started(store, keys, clock)  # and has it sign at five sixths
        await check_serves(ca, known, clock)
        assert ca.wit.key_id not in names
        names.add(ca.wit.key_id)
    assert len((await bundle_of(store)).wit_authorities) <= 5


async def test_what_is_switched_off_keeps_its_key_for_later(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    name = (await started(store, keys, clock)).wit.key_id
    off = await started(store, keys, clock, CaSettings())
    with pytest.raises(UnavailableError):
        _ = off.wit
    assert [record.authority_id for record in await journal_of(store)] == [name]
    assert (await started(store, keys, clock)).wit.key_id == name


@pytest.mark.parametrize("key_type", [KeyType.EC_P384, KeyType.RSA_2048])
async def test_its_kind_of_key_is_configured(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock, key_type: KeyType
) -> None:
    ca = await started(store, keys, clock, CaSettings(wit=True, wit_key_type=key_type))
    assert str(ca.wit.key.key_size) in key_type.value
    assert ca.jwt.key.key_size == 256
    await check_serves(ca, await bundle_of(store), clock)


async def test_a_key_that_is_not_published_does_not_sign(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    name = (await started(store, keys, clock)).wit.key_id
    bundle = await bundle_of(store)
    await store.write(lambda tx: tx.bundles.put(Bundle(HOME, bundle.x509_authorities, bundle.jwt_authorities)))
    ca = await started(store, keys, clock)
    assert ca.wit.key_id != name
    await check_serves(ca, await bundle_of(store), clock)


async def test_a_key_of_spires_is_found_under_its_name(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock, tmp_path: Path
) -> None:
    await started(store, keys, clock)
    assert "WIT-Signer-A" in json.loads((tmp_path / "keys.json").read_text())["keys"]


async def test_the_log_and_the_metrics_have_spires_words(
    store: SqlStore, keys: DiskKeyManager, clock: FakeClock
) -> None:
    metrics = Recorded()
    with capture_logs() as logs:
        ca = await started(store, keys, clock, metrics=metrics)
    assert [line["event"] for line in logs][-3:] == ["Preparing WIT key", "WIT key prepared", "WIT key activated"]
    issuer = Issuer(HOME, ca, clock, CredentialSettings(wit=True), metrics)
    issuer.workload_wit(WEB, KEY, "ES256")
    counts = metrics.counts()
    assert {name: count for name, count in counts.items() if "wit" in name[0]} == {
        ("ca.manager.wit_key.prepare", "OK"): 1,
        ("manager.wit_key.activate", ""): 1,
        ("server_ca.sign.wit_svid", ""): 1,
    }
