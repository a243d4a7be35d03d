"""The record of instances: as long as they are seen, and some time longer."""

from dataclasses import replace

import pytest

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page, Store
from assay_server.governance.instances import FORGOTTEN_AT_ONCE, SEEN_EVERY, Copy, Instances
from assay_server.model.governed.principal import (
    INSTANCE,
    INSTANCE_KEPT,
    PRINCIPAL,
    ActorType,
    Principal,
    PrincipalState,
)

TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
BOTS = Entry(
    "bots", SpiffeId(TD, "/principal/bot"), AGENT, (Selector("unix", "uid:1"),), principal="bot",
    instance_from="unix:process",
)  # fmt: skip


@pytest.fixture
async def instances(store: Store, clock: FakeClock) -> Instances:
    bot = Principal("bot", ActorType.AI_AGENT, state=PrincipalState.ACTIVE)
    await store.write(lambda tx: tx.governed.put(PRINCIPAL, bot))
    return Instances(store, clock, TD)


async def seen(instances: Instances, *values: str) -> None:
    await instances.admit([Copy(BOTS, value, AGENT) for value in values])


async def remembered(store: Store) -> set[str]:
    found, _ = await store.read(lambda tx: tx.governed.find(INSTANCE, (), Page()))
    return {one.value for one in found}


async def test_those_not_seen_for_long_make_room_for_new_ones(
    instances: Instances, store: Store, clock: FakeClock
) -> None:
    old = [f"old-{number}" for number in range(FORGOTTEN_AT_ONCE + 2)]
    await seen(instances, "lives", *old)
    clock.advance(INSTANCE_KEPT - 1)
    await seen(instances, "lives", "early")
    assert await remembered(store) == {"lives", "early", *old}
    clock.advance(1)
    await seen(instances, "lives")
    assert await remembered(store) == {"lives", "early", *old}
    await seen(instances, "new")
    assert len(await remembered(store)) == 5
    await seen(instances, "newer")
    assert await remembered(store) == {"lives", "early", "new", "newer"}
    events, _ = await store.read(lambda tx: tx.events.find(Page(), principal="bot"))
    assert sum(one.details.get("forgotten", False) for one in events) == len(old)


async def test_one_that_was_forgotten_and_comes_back_is_who_it_was(
    instances: Instances, store: Store, clock: FakeClock
) -> None:
    before = await instances.admit_one(Copy(BOTS, "a", AGENT))
    clock.advance(INSTANCE_KEPT)
    await seen(instances, "b")
    assert await remembered(store) == {"b"}
    assert (await instances.admit_one(Copy(BOTS, "a", AGENT))).spiffe_id == before.spiffe_id


async def test_a_binding_that_all_copies_share_counts_as_a_use_of_its_principal(
    instances: Instances, store: Store, clock: FakeClock
) -> None:
    shared = Copy(replace(BOTS, instance_from=""), "", AGENT)

    async def used() -> int:
        principal = await store.read(lambda tx: tx.governed.get(PRINCIPAL, "bot"))
        assert principal is not None
        return principal.last_used_at

    first = int(clock.now().timestamp())
    for seconds in (0, SEEN_EVERY - 1):
        clock.advance(seconds)
        await instances.admit_one(shared)
        assert await used() == first
    clock.advance(1)
    await instances.admit_one(shared)
    assert await used() == first + SEEN_EVERY
    assert await remembered(store) == set()
