"""The live policy and its versions: pushed, rolled back, followed, and nothing decided by what cannot be read."""

import asyncio
from dataclasses import replace

import pytest

from assay.crypto.keys import generate
from assay.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, UnavailableError
from assay.keymanager.base import KeyType, SigningKey
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page, Store
from assay_server.governance.policies import Policies, ShippedPolicy, key_of, live_of, under_live
from assay_server.governance.policystore import PolicyStore
from assay_server.model.governed.event import EventType
from assay_server.model.governed.policybundle import LIVE_POLICY, POLICY_BUNDLE, LivePolicy
from assay_server.policy.engine import SCHEMA_VERSION, Policy, bundle_digest, shipped
from assay_server.policy.signature import Signed, sign, verified

RULE = '@id("{}") forbid (principal, action, resource) when {{ context.depth > 3 }};'
ME = "local:1000"
KEY = generate(KeyType.EC_P256)


def files(name: str) -> dict[str, str]:
    return {"own.cedar": RULE.format(name)}


async def server_key() -> SigningKey:
    return KEY


@pytest.fixture
def versions(store: Store, clock: FakeClock) -> PolicyStore:
    return PolicyStore(store, clock, server_key)


@pytest.fixture
def policies(store: Store) -> Policies:
    return Policies(store)


async def test_without_a_push_the_shipped_set_is_live(policies: Policies, versions: PolicyStore) -> None:
    assert (await policies.current()).version == 0
    live = await versions.live()
    assert (live.bundle, live.highest) == (shipped().bundle, 0)
    assert await versions.get(0) == shipped().bundle


async def test_what_is_pushed_is_live_for_whoever_asks_next(policies: Policies, versions: PolicyStore) -> None:
    with pytest.raises(UnavailableError):
        _ = policies.live
    await policies.current()
    pushed = await versions.push(files("one"), "", "", ME)
    assert (pushed.version, pushed.pushed_by, pushed.schema_version) == (1, ME, SCHEMA_VERSION)
    assert verified(pushed.signature).version == 1
    policy = await policies.current()
    assert (policy.version, "one" in policy.rules, "task-not-active" in policy.rules) == (1, True, True)
    assert policies.live is policy
    assert await policies.current() is policy
    assert (await versions.push(files("two"), "", "", ME)).version == 2
    assert (await policies.current()).version == 2
    found, _ = await versions.find(Page())
    assert [each.version for each in found] == [1, 2]


async def test_pushes_and_rollbacks_are_events(versions: PolicyStore, store: Store) -> None:
    await versions.push(files("one"), "", "", ME)
    await versions.rollback(0, "local:7")
    events, _ = await store.read(lambda tx: tx.events.find(Page()))
    assert [event.type for event in events] == [EventType.POLICY_CHANGED] * 2
    assert [(e.actor, e.details["change"], e.details["version"], e.details["previous"]) for e in events] == [
        (ME, "pushed", 1, 0),
        ("local:7", "rolled_back", 0, 1),
    ]


async def test_what_is_wrong_changes_nothing(versions: PolicyStore, policies: Policies, store: Store) -> None:
    bad = {
        "typo": {"own.cedar": '@id("x") forbid (principal, action, resource) when { context.riskScroe > 1 };'},
        "floor": {"own.cedar": '@id("x") permit (principal, action, resource);'},
        "nothing": {},
    }
    for contents in bad.values():
        with pytest.raises(InvalidArgumentError):
            await versions.push(contents, "", "", ME)
    with pytest.raises(InvalidArgumentError, match="expected allow, got deny"):
        await versions.push(files("one"), '[[case]]\nname = "x"\nexpect = "allow"', "", ME)
    assert (await policies.current()).version == 0
    assert await store.read(lambda tx: tx.events.find(Page())) == ([], "")


async def test_a_version_returns_only_by_rollback(versions: PolicyStore, policies: Policies) -> None:
    for name in ("one", "two"):
        await versions.push(files(name), "", "", ME)
    assert (await versions.rollback(1, ME)).version == 1
    assert "one" in (await policies.current()).rules
    with pytest.raises(FailedPreconditionError, match="live already"):
        await versions.rollback(1, ME)
    for version in (3, -1):
        with pytest.raises(NotFoundError):
            await versions.rollback(version, ME)
    with pytest.raises(FailedPreconditionError, match="this is version 1"):
        await versions.push(files("one"), "", "", ME)
    assert (await versions.push(files("three"), "", "", ME)).version == 3
    await versions.rollback(0, ME)
    assert (await policies.current()).version == 0


async def test_an_old_bundle_that_is_pushed_again_is_refused_as_rolled_back(versions: PolicyStore) -> None:
    operator = generate(KeyType.EC_P384)

    def signed(name: str, version: int) -> str:
        return sign(operator, Signed(bundle_digest(files(name), ""), version, SCHEMA_VERSION))

    first = await versions.push(files("one"), "", signed("one", 1), ME)
    assert verified(first.signature).signer == verified(signed("x", 1)).signer
    await versions.push(files("two"), "", signed("two", 2), ME)
    with pytest.raises(FailedPreconditionError, match="rolled back: it was signed as version 1"):
        await versions.push(files("one"), "", first.signature, ME)
    with pytest.raises(FailedPreconditionError, match="version 3 comes next"):
        await versions.push(files("one"), "", signed("one", 4), ME)
    with pytest.raises(InvalidArgumentError, match="of another bundle"):
        await versions.push(files("three"), "", signed("one", 3), ME)


async def test_of_many_pushes_at_once_each_gets_a_version_of_its_own(versions: PolicyStore) -> None:
    pushed = await asyncio.gather(*(versions.push(files(f"r{n}"), "", "", ME) for n in range(5)))
    assert sorted(each.version for each in pushed) == [1, 2, 3, 4, 5]
    assert (await versions.live()).bundle.version == 5


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"own.cedar": RULE.format("other")}},
        {"tests": "# more"},
        {"digest": "sha-256:x"},
        {"files": files("other"), "digest": bundle_digest(files("other"), "")},
        {"signature": ""},
        {"schema_version": 1},
    ],
    ids=str,
)
async def test_what_is_not_what_was_signed_decides_nothing(
    versions: PolicyStore, policies: Policies, store: Store, change: dict[str, object]
) -> None:
    pushed = await versions.push(files("one"), "", "", ME)
    await policies.current()
    await store.write(lambda tx: tx.governed.put(POLICY_BUNDLE, replace(pushed, **change)))  # type: ignore[arg-type]
    with pytest.raises(UnavailableError, match="the live policy cannot be used"):
        await policies.current()
    assert (await versions.live()).bundle.version == 1
    await versions.push(files("two"), "", "", ME)
    assert (await policies.current()).version == 2
    with pytest.raises(UnavailableError):
        await versions.rollback(1, ME)


async def test_a_record_that_is_older_than_the_newest_bundle_decides_nothing(
    versions: PolicyStore, policies: Policies, store: Store
) -> None:
    for name in ("strict", "stricter"):
        await versions.push(files(name), "", "", ME)
    for record in (LivePolicy(1, 1), LivePolicy(3, 2)):
        await store.write(lambda tx, one=record: tx.governed.put(LIVE_POLICY, one))  # type: ignore[misc]
        with pytest.raises(UnavailableError):
            await policies.current()


async def test_a_bundle_that_is_gone_decides_nothing(versions: PolicyStore, policies: Policies, store: Store) -> None:
    await versions.push(files("one"), "", "", ME)
    await store.write(lambda tx: tx.governed.delete(POLICY_BUNDLE, key_of(1)))
    with pytest.raises(UnavailableError):
        await policies.current()
    await versions.rollback(0, ME)
    assert (await policies.current()).version == 0


class MovedMeanwhile:
    """Policies of a store, and somebody who pushes between the reading of one and the transaction, so often."""

    def __init__(self, policies: Policies, versions: PolicyStore, times: int) -> None:
        self._policies = policies
        self._versions = versions
        self._left = times

    async def current(self) -> Policy:
        policy = await self._policies.current()
        if self._left:
            self._left -= 1
            await self._versions.push(files(f"push-{self._left}"), "", "", ME)
        return policy


@pytest.mark.parametrize("pushes", [0, 1, 3])
async def test_what_is_decided_is_decided_by_the_policy_that_is_live_in_its_own_transaction(
    store: Store, policies: Policies, versions: PolicyStore, pushes: int
) -> None:
    source = MovedMeanwhile(policies, versions, pushes)
    used, live = await under_live(store, source, lambda tx, policy: (policy.version, live_of(tx).version))
    assert used == live == pushes


async def test_nothing_is_decided_while_policy_is_another_one_each_time(
    store: Store, policies: Policies, versions: PolicyStore
) -> None:
    with pytest.raises(UnavailableError):
        await under_live(store, MovedMeanwhile(policies, versions, 100), lambda _tx, policy: policy)
    with pytest.raises(UnavailableError):
        await under_live(store, ShippedPolicy(), lambda _tx, policy: policy)
