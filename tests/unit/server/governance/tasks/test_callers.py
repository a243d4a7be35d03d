"""Whose a call is that an agent relays: what the agent is authorized for now, never more."""

from dataclasses import replace
from typing import Any

import pytest

from assay.entry import Entry
from assay.errors import FailedPreconditionError, InvalidArgumentError, PermissionDeniedError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.authorization.index import AuthorizedEntries
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.callers import MAX_ENTRIES, Attested, Callers, only
from assay_server.governance.tasks import Caller
from assay_server.model import Node
from assay_server.model.governed.principal import Instance

World = Any  # the fixture's, of conftest.py
TD = TrustDomain("example.org")
AGENT, OTHER = (SpiffeId(TD, f"/spire/agent/{name}") for name in ("one", "two"))
UID, PID = Selector("unix", "uid:1"), Selector("unix", "process:77")
BINDING = Entry("bot", SpiffeId(TD, "/principal/bot"), AGENT, (UID,), principal="bot")
WORKLOAD = Attested({"bot": ""}, frozenset({UID, PID}))


@pytest.fixture
async def callers(store: Store, clock: FakeClock) -> Callers:
    def write(tx: Transaction) -> None:
        for agent in (AGENT, OTHER):
            tx.nodes.put(Node(agent, "join_token", "1", 2**40))

    await store.write(write)
    return Callers(AuthorizedEntries(store, TD, clock), store, clock)


async def put(store: Store, *entries: Entry) -> None:
    def write(tx: Transaction) -> None:
        for entry in entries:
            tx.entries.create(entry)

    await store.write(write)


async def test_a_binding_without_instances_is_one_for_all_copies(callers: Callers, store: Store) -> None:
    await put(store, BINDING)
    assert await callers.of(AGENT, WORKLOAD) == (Caller("bot", "spiffe://example.org/principal/bot"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"principal": ""},
        {"withheld": True},
        {"expires_at": 1},
        {"selectors": (Selector("unix", "uid:2"),)},
        {"parent_id": OTHER},
    ],
)
async def test_what_binds_nothing_now_is_refused(callers: Callers, store: Store, changes: dict[str, Any]) -> None:
    await put(store, replace(BINDING, **changes))
    with pytest.raises(PermissionDeniedError, match="no governed principal"):
        await callers.of(AGENT, WORKLOAD)


async def test_an_agent_speaks_for_nobody_of_another_agent(callers: Callers, store: Store) -> None:
    await put(store, BINDING)
    with pytest.raises(PermissionDeniedError):
        await callers.of(OTHER, WORKLOAD)
    with pytest.raises(PermissionDeniedError):
        await callers.of(AGENT, replace(WORKLOAD, matches={"gone": ""}))
    with pytest.raises(InvalidArgumentError):
        await callers.of(AGENT, replace(WORKLOAD, matches={str(n): "" for n in range(MAX_ENTRIES + 1)}))


async def test_a_copy_that_got_another_id_by_another_template_has_the_newer_one(
    world: World, callers: Callers, store: Store
) -> None:
    await put(store, replace(BINDING, instance_from="unix:process"))
    for name in ("old", "new"):
        await world.put(Instance(f"spiffe://example.org/{name}", "bot", "bot", "77", str(AGENT), 1, 1))
    told = Attested({"bot": "77"}, frozenset({UID}))
    assert await callers.of(AGENT, told) == (Caller("bot", "spiffe://example.org/new"),)


async def test_copies_are_told_apart_by_host_and_value(world: World, callers: Callers, store: Store) -> None:
    await put(store, replace(BINDING, instance_from="unix:process"))
    here, there = (
        Instance(f"spiffe://example.org/principal/bot/{name}", "bot", "bot", value, str(agent), 1, 1)
        for name, value, agent in (("a", "77", AGENT), ("b", "77", OTHER))
    )
    await world.put(there)
    with pytest.raises(FailedPreconditionError, match="no identity yet"):
        await callers.of(AGENT, WORKLOAD)
    await world.put(here)
    assert await callers.of(AGENT, WORKLOAD) == (Caller("bot", here.spiffe_id),)
    told = Attested({"bot": "77"}, frozenset({UID}))
    assert await callers.of(AGENT, told) == (Caller("bot", here.spiffe_id),)
    with pytest.raises(FailedPreconditionError):
        await callers.of(AGENT, Attested({"bot": ""}, frozenset({UID, PID, Selector("unix", "process:78")})))


async def test_a_workload_that_is_several_principals_says_which(callers: Callers, store: Store) -> None:
    await put(store, BINDING, replace(BINDING, id="tool", spiffe_id=SpiffeId(TD, "/tool"), principal="tool"))
    found = await callers.of(AGENT, replace(WORKLOAD, matches={"bot": "", "tool": ""}))
    assert [one.principal for one in found] == ["bot", "tool"]
    assert only(found, "tool") == found[1]
    assert only(found[:1], "") == found[0]
    with pytest.raises(FailedPreconditionError, match="bot, tool"):
        only(found, "")
    with pytest.raises(PermissionDeniedError):
        only(found, "other")
