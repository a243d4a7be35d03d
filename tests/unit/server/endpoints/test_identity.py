"""The server's own SVID: rotated at half its life, presented live; roots as the bundles have them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from assay.bundle import X509Authority
from assay.crypto import keys
from assay.errors import UnavailableError
from assay.keymanager.base import KeyType
from assay.spiffeid import TrustDomain
from assay.testing.authority import Authority
from assay.testing.clock import START, FakeClock
from assay_server.credential import Issuer
from assay_server.datastore.sql.store import SqlStore
from assay_server.endpoints.identity import CHECK_SECONDS, ServerIdentity, past_half_life

NOW = int(START.timestamp())
OTHER = Authority("other.test")
STRANGER = Authority("stranger.test")


@dataclass
class Listener:
    """Stands where the TLS listener takes identities, and keeps what it was given."""

    trust_domain: TrustDomain
    given: list[tuple[Any, Any, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    admitted: object = None

    def admit(self, admitted: object) -> None:
        self.admitted = admitted

    def set(self, chain: object, key: object, roots: object) -> None:
        self.given.append((chain, key, roots))
        self.changed.set()

    async def next(self) -> tuple[Any, Any, Any]:
        async with asyncio.timeout(5):
            await self.changed.wait()
        self.changed.clear()
        return self.given[-1]


@pytest.fixture
def listener(authority: Authority) -> Listener:
    return Listener(authority.trust_domain)


@pytest.fixture
def identity(listener: Listener, issuer: Issuer, store: SqlStore, clock: FakeClock) -> ServerIdentity:
    return ServerIdentity(listener, issuer, store, clock, [OTHER.trust_domain])  # type: ignore[arg-type]


@asynccontextmanager
async def running(identity: ServerIdentity, clock: FakeClock) -> AsyncIterator[None]:
    await identity.start()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(identity.run())
        await clock.wait_sleepers()
        yield
        task.cancel()


async def put(store: SqlStore, *authorities: Authority) -> None:
    for one in authorities:
        await store.write(lambda tx, one=one: tx.bundles.put(one.bundle))  # type: ignore[misc]


async def test_it_presents_an_svid_and_the_roots_of_those_who_may_call(
    identity: ServerIdentity, listener: Listener, store: SqlStore, authority: Authority
) -> None:
    await put(store, authority, OTHER, STRANGER)
    await identity.start()
    (chain, key, roots) = listener.given[-1]
    assert roots == {authority.trust_domain: (authority.root.der,), OTHER.trust_domain: (OTHER.root.der,)}
    assert len(chain) == 1
    assert key.curve.name == "secp256r1"


async def test_it_rotates_past_half_of_its_life(
    identity: ServerIdentity, listener: Listener, store: SqlStore, clock: FakeClock, authority: Authority
) -> None:
    await put(store, authority)
    async with running(identity, clock):
        first = await listener.next()
        await clock.run(1790, CHECK_SECONDS)  # half of 3600 s and the 10 s it is backdated
        assert len(listener.given) == 1
        await clock.run(10, CHECK_SECONDS)
        second = await listener.next()
    assert first[0] != second[0]
    assert first[1] is not second[1]
    assert first[2] == second[2]


async def test_a_ca_that_cannot_sign_is_no_reason_to_stop(
    identity: ServerIdentity, store: SqlStore, clock: FakeClock, authority: Authority
) -> None:
    await put(store, authority)
    with capture_logs() as logs:
        async with running(identity, clock):
            await clock.run(86500, 3600)  # beyond the CA's end
    assert "Could not rotate server SVID" in [line["event"] for line in logs]


async def test_new_roots_are_taken_up(
    identity: ServerIdentity, listener: Listener, store: SqlStore, clock: FakeClock, authority: Authority
) -> None:
    await put(store, authority)
    async with running(identity, clock):
        await listener.next()
        more = replace(
            authority.bundle, x509_authorities=(*authority.bundle.x509_authorities, X509Authority(OTHER.root.der))
        )
        await store.write(lambda tx: tx.bundles.put(more))
        assert (await listener.next())[2] == {authority.trust_domain: (authority.root.der, OTHER.root.der)}


async def test_other_changes_do_not_touch_the_listener(
    identity: ServerIdentity, listener: Listener, store: SqlStore, clock: FakeClock, authority: Authority
) -> None:
    await put(store, authority)
    async with running(identity, clock):
        await listener.next()
        await put(store, STRANGER)
        await store.write(lambda tx: tx.bundles.put(replace(authority.bundle, sequence=9, jwt_authorities=())))
        await put(store, OTHER)  # the first that concerns it
        await listener.next()
        assert len(listener.given) == 2


async def test_other_administrators_come_with_the_roots_of_their_trust_domains(
    identity: ServerIdentity, listener: Listener, store: SqlStore, clock: FakeClock, authority: Authority
) -> None:
    await put(store, authority, OTHER, STRANGER)
    admin = STRANGER.id("/admin")
    async with running(identity, clock):
        await listener.next()
        await identity.admit({admin})
        roots = {authority.trust_domain: (authority.root.der,), STRANGER.trust_domain: (STRANGER.root.der,)}
        assert (await listener.next())[2] == roots
        assert listener.admitted == {admin}
        await store.write(lambda tx: tx.bundles.put(replace(STRANGER.bundle, x509_authorities=())))
        assert (await listener.next())[2] == {**roots, STRANGER.trust_domain: ()}


async def test_administrators_stay_when_the_bundles_cannot_be_read(
    identity: ServerIdentity, listener: Listener, store: SqlStore
) -> None:
    await identity.start()
    await store.close()
    with pytest.raises(UnavailableError):
        await identity.admit({STRANGER.id("/admin")})
    assert listener.admitted is None


@pytest.mark.parametrize(("at", "past"), [(NOW, False), (NOW + 1795, False), (NOW + 1796, True)])
def test_half_life(issuer: Issuer, at: int, past: bool) -> None:
    svid = issuer.server_x509(keys.generate(KeyType.EC_P256).public_key())
    assert past_half_life(svid, at) is past
