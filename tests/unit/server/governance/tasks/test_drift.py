"""When policy or what is registered changes, the tasks that it refuses now are revoked, and no others are touched."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from assay.crypto.keys import generate
from assay.entry import Entry
from assay.errors import UnavailableError
from assay.keymanager.base import KeyType, SigningKey
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page, Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.governance.credentials import CredentialService
from assay_server.governance.driftreconciler import DriftReconciler, Swept
from assay_server.governance.driftsweep import END_AT_ONCE, DriftSweep
from assay_server.governance.opening import Terms
from assay_server.governance.policies import Policies, key_of
from assay_server.governance.policystore import PolicyStore
from assay_server.governance.request import Binding, Confirmation, CredentialRequest
from assay_server.governance.tasks import TaskService
from assay_server.model.governed.catalogue import TOOL, ActionClass, Risk, Sensitivity
from assay_server.model.governed.decision import DECISION, Decision
from assay_server.model.governed.drift import DRIFT_POSITION, DriftPosition
from assay_server.model.governed.event import EventType
from assay_server.model.governed.policybundle import POLICY_BUNDLE
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Task, TaskState
from assay_server.policy.engine import shipped
from assay_server.policy.replay import replay

World = Any  # the fixture's, of conftest.py
KEY = generate(KeyType.EC_P256)
NO_REFUNDS = '@id("no-refunds") forbid (principal, action, resource == Assay::Tool::"crm.refund");'
NO_TOKENS = (
    '@id("no-tokens") forbid (principal, action == Assay::Action::"credential:issue", '
    'resource == Assay::Tool::"crm.refund");'
)
ASK_FIRST = (
    '@id("ask-first") @requires("human_approval") forbid (principal, action == Assay::Action::"credential:issue", '
    'resource == Assay::Tool::"crm.refund") unless { context.approved };'
)
OTHER = '@id("other") forbid (principal, action, resource == Assay::Tool::"no.such");'
BY_DAY = '@id("by-day") forbid (principal, action, resource) when { context.now.toTime() >= duration("%dh") };'


async def server_key() -> SigningKey:
    return KEY


class House:
    """What decides and what sweeps, on the world's store."""

    def __init__(self, world: World, store: SqlStore, clock: FakeClock) -> None:
        self.world, self.store, self.clock = world, store, clock
        self.policies = Policies(store)
        self.versions = PolicyStore(store, clock, server_key)
        self.tasks = TaskService(store, clock, self.policies, Terms("https://issuer.example"))
        self.credentials = CredentialService(
            store, self.policies, clock, lambda _: "token", lambda: 2**40, "https://issuer.example"
        )
        self.sweeps: list[Swept] = []
        self.reconciler = self.another()

    def another(self) -> DriftReconciler:
        """One that begins with what is in the store, as after a restart."""
        return DriftReconciler(self.store, self.clock, lambda: self._sweep)

    async def _sweep(self, terms: Sequence[tuple[str, str]] | None) -> Swept:
        self.sweeps.append(await DriftSweep(self.store, self.policies, self.clock).sweep(terms))
        return self.sweeps[-1]

    async def push(self, *rules: str) -> None:
        await self.versions.push({**shipped().bundle.files, "own.cedar": "\n".join(rules)}, "", "", "local:0")

    async def open(self, *actions: str, **changes: Any) -> Task:  # noqa: ANN401 - fields of TaskRequest
        return await self.tasks.open(self.world.request(*actions, **changes), self.world.opener)

    async def issue(self, task: Task, *, jkt: str = "thumb", actions: tuple[str, ...] = ()) -> Credential:
        confirmation = Confirmation(Binding.DPOP, jkt) if jkt else None
        request = CredentialRequest(
            task.task_id, SpiffeId.parse(self.world.me), self.world.crm.uri, confirmation, actions=actions
        )
        return (await self.credentials.issue(request)).granted.credential

    async def state(self, task: Task) -> tuple[TaskState, str]:
        now = await self.world.get(TASK, task.task_id)
        return now.state, now.state_reason

    async def decisions(self, task: Task) -> list[Decision]:
        return (await self.store.read(lambda tx: tx.governed.find(DECISION, [("task", task.task_id)], Page())))[0]

    async def swept(self) -> None:
        await self.reconciler.reconcile()


def revoked(cause: str) -> tuple[TaskState, str]:
    return TaskState.REVOKED, f"policy_drift: {cause}"


ACTIVE = (TaskState.ACTIVE, "")


@pytest.fixture
async def house(world: World, store: SqlStore, clock: FakeClock) -> House:
    me, agent = SpiffeId.parse(world.me), SpiffeId.parse("spiffe://example.org/agent")
    await store.write(lambda tx: tx.entries.create(Entry("bot", me, agent, (Selector("a", "b"),), principal="bot")))
    world.bot = replace(world.bot, approvals=())
    await world.put(world.bot)
    house = House(world, store, clock)
    await house.swept()
    return house


async def test_a_stricter_policy_revokes_what_it_refuses_and_touches_nothing_else(house: House, world: World) -> None:
    refund, read = await house.open("crm.refund"), await house.open("crm.read")
    theirs, other = await house.issue(refund), await house.issue(read)
    before = await world.get(TASK, read.task_id)
    await house.push(NO_REFUNDS)
    await house.swept()
    assert await house.state(refund) == revoked("v1 by no-refunds")
    assert (await world.get(CREDENTIAL, theirs.jti)).cause == "policy_drift: v1 by no-refunds"
    assert await world.get(TASK, read.task_id) == before
    assert await world.get(CREDENTIAL, other.jti) == other
    events = [(one.type, one.actor) for one in await world.events(refund.task_id)][-3:]
    assert events == [
        (kind, "assay:drift") for kind in (EventType.DECISION, EventType.REVOCATION, EventType.TASK_ENDED)
    ]
    assert house.sweeps[-1] == Swept(2, 1, 1)
    assert (await world.events())[-1].details == {"change": "swept", "version": 1, "tasks": 2, "revoked": 1}


async def test_the_decision_that_revoked_is_kept_and_gives_the_same_answer_again(house: House) -> None:
    first, second = await house.open("crm.refund"), await house.open("crm.refund")
    await house.push(NO_REFUNDS)
    await house.swept()
    for task in (first, second):
        found = await house.decisions(task)
        decision = found[-1]
        assert (decision.task_id, decision.policy_version) == (task.task_id, 1)
        assert decision.inputs["task"] == task.task_id
        assert replay(await house.policies.current(), decision).same


async def test_a_rule_of_tokens_alone_revokes_too_as_the_diff_says_before(house: House) -> None:
    refund, read = await house.open("crm.refund"), await house.open("crm.read")
    await house.push(NO_TOKENS)
    await house.swept()
    assert await house.state(refund) == revoked("v1 by no-tokens")
    assert await house.state(read) == ACTIVE


async def test_what_would_need_approval_now_is_revoked_what_did_from_the_start_is_not(
    house: House, world: World
) -> None:
    await house.push(ASK_FIRST)
    from_start = await house.open("crm.refund")
    await house.push(ASK_FIRST, OTHER)
    await house.swept()
    assert await house.state(from_start) == ACTIVE
    await house.versions.rollback(0, "local:0")
    await house.swept()
    later = await house.open("crm.refund")
    held = await house.issue(from_start)
    await house.push(ASK_FIRST, '@id("more") forbid (principal, action, resource == Assay::Tool::"none");')
    await house.swept()
    assert await house.state(later) == revoked("v3 by ask-first")
    # It holds a token of the policy that was live meanwhile.
    assert await house.state(from_start) == revoked("v3 by ask-first")
    assert (await world.get(CREDENTIAL, held.jti)).revoked_at


async def test_a_token_counts_as_it_is_bound(house: House) -> None:
    bound, unbound = await house.open("crm.read"), await house.open("crm.read")
    await house.issue(bound)
    await house.push('@id("x") forbid (principal, action, resource) when { context.requestedTtl > 60 };')
    await house.swept()
    request = CredentialRequest(
        unbound.task_id, SpiffeId.parse(house.world.me), house.world.crm.uri, Confirmation(Binding.DPOP, "t"),
        requested_ttl=60,
    )  # fmt: skip
    await house.credentials.issue(request)
    await house.push('@id("short") forbid (principal, action, resource) when { context.requestedTtl > 30 };')
    await house.swept()
    assert await house.state(bound) == ACTIVE
    assert await house.state(unbound) == revoked("v2 by short")


async def test_a_token_counts_for_the_actions_that_it_carries(house: House) -> None:
    await house.push(ASK_FIRST)
    task = await house.open("crm.read", "crm.refund")
    await house.issue(task, actions=("crm.read",))
    await house.push(ASK_FIRST, OTHER)
    await house.swept()
    assert await house.state(task) == ACTIVE


async def test_time_alone_is_no_drift(house: House, clock: FakeClock) -> None:
    assert clock.now().hour == 0
    clock.advance(1800)
    await house.push(BY_DAY % 1)
    task = await house.open("crm.read")
    clock.advance(1700)
    await house.issue(task)
    clock.advance(200)
    await house.push(BY_DAY % 1, OTHER)
    await house.swept()
    assert await house.state(task) == ACTIVE


CHANGES: dict[str, tuple[Callable[[World], list[Any]], str]] = {
    "principal": (lambda world: [replace(world.bot, risk_class=Risk.HIGH, revision=9)], "principal bot"),
    "data classes": (
        lambda world: [replace(world.crm, data_classes=("pii",))],
        "resource https://crm/mcp",
    ),
    "tool": (lambda world: [replace(world.refund, action_class=ActionClass.IRREVERSIBLE)], "tool crm.refund"),
    "tool's risk": (lambda world: [replace(world.refund, risk=Risk.HIGH)], "tool crm.refund"),
    "resource": (lambda world: [replace(world.crm, environment="prod-2", tenant="other")], "resource https://crm/mcp"),
    "tools": (lambda world: [replace(world.bot, tools=("crm.read",), revision=9)], "principal bot"),
    "tenant": (lambda world: [replace(world.bot, tenant="other", revision=9)], "principal bot"),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_what_is_registered_changes(house: House, world: World, what: str) -> None:
    change, name = CHANGES[what]
    await world.put(
        replace(world.crm, uri="https://else/mcp"), replace(world.read, name="else", resource="https://else")
    )
    refund = await house.open("crm.refund")
    await house.swept()
    await world.put(*change(world))
    await house.swept()
    state, cause = await house.state(refund)
    assert state is TaskState.REVOKED
    assert cause.startswith(f"policy_drift: {name} by ")


async def test_only_tasks_that_it_concerns_are_looked_at(house: House, world: World) -> None:
    refund, read = await house.open("crm.refund"), await house.open("crm.read")
    await house.swept()
    house.sweeps.clear()
    await world.put(replace(world.refund, risk=Risk.MEDIUM))
    await house.swept()
    assert house.sweeps == [Swept(1, 0, 0)]
    await world.put(replace(world.crm, sensitivity=Sensitivity.CONFIDENTIAL))
    await house.swept()
    assert house.sweeps[1:] == [Swept(2, 0, 0)]
    assert [await house.state(one) for one in (refund, read)] == [ACTIVE, ACTIVE]


async def test_that_a_principal_was_used_is_no_change(house: House, world: World) -> None:
    task = await house.open("crm.read")
    await world.put(replace(world.bot, revision=2))
    await house.swept()
    house.sweeps.clear()
    await house.issue(task)
    await house.swept()
    assert house.sweeps == []


async def test_a_held_task_is_judged_as_if_it_went_on(house: House, world: World) -> None:
    held, fine = await house.open("crm.refund"), await house.open("crm.read")
    for task in (held, fine):
        await house.tasks.suspend(task.task_id, "", world.operator)
    await house.push(NO_REFUNDS)
    await house.swept()
    assert await house.state(held) == revoked("v1 by no-refunds")
    assert (await house.state(fine))[0] is TaskState.SUSPENDED


async def test_a_tool_that_is_gone_is_missing(house: House) -> None:
    task = await house.open("crm.refund")
    await house.store.write(lambda tx: tx.governed.delete(TOOL, "crm.refund"))
    await house.swept()
    assert await house.state(task) == revoked("missing tool, resource by missing: tool, resource")


class Dies:
    """A store that is gone after so many writes."""

    def __init__(self, store: SqlStore, writes: int) -> None:
        self._store = store
        self._left = writes

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)

    async def write(self, work: Callable[[Transaction], Any]) -> Any:  # noqa: ANN401 - what the work comes to
        if not self._left:
            raise UnavailableError("gone")
        self._left -= 1
        return await self._store.write(work)


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
async def test_whoever_comes_after_one_that_died_goes_on(
    house: House, world: World, clock: FakeClock, writes: int
) -> None:
    first = await house.open("crm.refund")
    tasks = [first, *(replace(first, task_id=f"tsk_{number}") for number in range(2 * END_AT_ONCE))]
    await world.put(*tasks)
    read = await house.open("crm.read")
    await house.swept()
    await house.push(NO_REFUNDS)
    dying = cast("SqlStore", Dies(house.store, writes))
    with contextlib.suppress(UnavailableError):
        await DriftSweep(dying, house.policies, clock).sweep(None)
    done = await house.store.read(lambda tx: tx.governed.count(TASK, [("state", "revoked")]))
    assert done == min(writes * END_AT_ONCE, len(tasks))
    await house.another().reconcile()
    assert {await house.state(one) for one in tasks} == {revoked("v1 by no-refunds")}
    assert await house.state(read) == ACTIVE
    ended = [one.task_id for one in await world.events() if one.type is EventType.TASK_ENDED]
    assert sorted(ended) == sorted(one.task_id for one in tasks)


async def test_when_the_changes_since_are_not_known_any_more_all_are_decided(house: House, world: World) -> None:
    task = await house.open("crm.refund")
    await house.push(NO_REFUNDS)
    position = await world.get(DRIFT_POSITION, "drift")
    ahead = replace(position, sequence=house.store.sequence + 1000)
    await house.store.write(lambda tx: tx.governed.put(DRIFT_POSITION, ahead))
    await house.another().reconcile()
    assert await house.state(task) == revoked("v1 by no-refunds")


async def test_another_release_has_all_decided_again(house: House) -> None:
    await house.open("crm.read")
    await house.swept()
    house.sweeps.clear()
    await house.another().reconcile()
    assert house.sweeps == []
    await house.store.write(lambda tx: tx.governed.put(DRIFT_POSITION, DriftPosition(house.store.sequence, "older")))
    await house.another().reconcile()
    assert house.sweeps == [Swept(1, 0, 0)]


async def test_without_a_policy_that_can_be_read_nobody_is_revoked_and_nothing_passed_over(
    house: House, world: World
) -> None:
    task = await house.open("crm.refund")
    await house.push(NO_REFUNDS)
    good = await world.get(POLICY_BUNDLE, key_of(1))
    await house.store.write(lambda tx: tx.governed.put(POLICY_BUNDLE, replace(good, signature="")))
    with pytest.raises(UnavailableError):
        await house.swept()
    assert await house.state(task) == ACTIVE
    await house.store.write(lambda tx: tx.governed.put(POLICY_BUNDLE, good))
    await house.swept()
    assert await house.state(task) == revoked("v1 by no-refunds")


async def test_it_follows_by_itself(house: House) -> None:
    task = await house.open("crm.refund")
    running = asyncio.get_running_loop().create_task(house.reconciler.run())
    await house.push(NO_REFUNDS)
    await until(lambda: house.state(task), revoked("v1 by no-refunds"))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    while await look() != wanted:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)  # the store's thread has the next word
