"""Requirement 20, over random schedules: no credential outlives its task, and none that is revoked or over counts."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assay.entry import Entry
from assay.errors import AssayError
from assay.governed.authority import Access, outside
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.credential.authorities import Authorities
from assay_server.datastore.base import Store
from assay_server.governance.credentials import CredentialService
from assay_server.governance.ending import credentials_of
from assay_server.governance.narrowing import Narrowing
from assay_server.governance.policies import ShippedPolicy
from assay_server.governance.request import Binding, Confirmation, CredentialRequest
from assay_server.governance.task_state import live
from assay_server.governance.taskreconciler import TaskReconciler
from assay_server.governance.tasks import TaskService
from assay_server.governance.tokens import TaskTokens
from assay_server.model.governed.task import TASK, Budget, Credential, Task

World = Any  # the fixture's, of conftest.py

ACTIONS = st.sets(st.sampled_from(["crm.read", "crm.refund"]), min_size=1).map(lambda found: tuple(sorted(found)))
SECONDS = st.integers(0, 400)
NAMES = ["open", "below", "issue", "issue", "narrow", "narrow", "heartbeat", "complete", "suspend", "resume", "revoke"]
STEP = st.tuples(st.sampled_from([*NAMES, "wait", "reconcile"]), ACTIONS, SECONDS)


class Schedule:
    """What happens, one after another, and what must hold after each."""

    def __init__(self, world: World, tasks: TaskService, credentials: CredentialService) -> None:
        self.world = world
        self.tasks = tasks
        self.credentials = credentials
        self.reconciler = TaskReconciler(world.store, world.clock)
        self.opened: list[str] = []
        self.issued: list[Credential] = []

    async def take(self, step: tuple[str, tuple[str, ...], int], pick: int) -> None:
        name, actions, seconds = step
        if name == "wait":
            self.world.clock.advance(seconds)
        elif name == "reconcile":
            await self.reconciler.reconcile()
        elif name == "open" or not self.opened:
            await self.open(actions, seconds, "")
        else:
            await self.change(name, self.opened[pick % len(self.opened)], actions, seconds)

    async def open(self, actions: tuple[str, ...], seconds: int, parent: str) -> None:
        request = self.world.request(*actions, budget=Budget(duration=seconds), parent=parent)
        self.opened.append((await self.tasks.open(request, self.world.opener)).task_id)

    async def change(self, name: str, task: str, actions: tuple[str, ...], seconds: int) -> None:
        mine, operator = self.world.mine, self.world.operator
        match name:
            case "below":
                await self.open(actions, seconds, task)
            case "issue":
                request = CredentialRequest(
                    task, SpiffeId.parse(self.world.me), "https://crm/mcp", KEY, actions, requested_ttl=seconds
                )
                self.issued.append((await self.credentials.issue(request)).granted.credential)
            case "narrow":
                authority = None if len(actions) > 1 else (Access("https://crm/mcp", actions),)
                to = Narrowing(authority=authority, ends_at=min(self.world.now + seconds, await self.end(task)))
                await self.tasks.narrow(task, to, mine)
            case "heartbeat":
                await self.tasks.heartbeat(task, mine)
            case "complete":
                await self.tasks.complete(task, mine)
            case "suspend":
                await self.tasks.suspend(task, "", operator)
            case "resume":
                await self.tasks.resume(task, operator)
            case _:
                await self.tasks.revoke(task, "", operator)

    async def end(self, task_id: str) -> int:
        task: Task = await self.world.get(TASK, task_id)
        return task.ends_at

    async def check(self) -> None:
        now = self.world.now
        for task_id in self.opened:
            task: Task = await self.world.get(TASK, task_id)
            for credential in await self.world.store.read(lambda tx, one=task_id: credentials_of(tx, one)):
                if credential.live(now):
                    assert credential.expires_at <= task.ends_at
                    assert live(task)
            if task.parent:
                parent: Task = await self.world.get(TASK, task.parent)
                assert not live(task) or (live(parent) and outside(task.authority, parent.authority) is None)
                assert not live(task) or task.ends_at <= parent.ends_at


KEY = Confirmation(Binding.DPOP, "thumb")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([(("below", ("crm.read",), 0), 0), (("complete", ("crm.read",), 0), 0)], 0)
@example(
    [(("below", ("crm.refund",), 0), 0), (("issue", ("crm.refund",), 0), 1), (("narrow", ("crm.read",), 400), 0)], 0
)
@given(st.lists(st.tuples(STEP, st.integers(0, 2)), min_size=4, max_size=14), st.sampled_from([0, 60]))
async def test_no_credential_outlives_its_task_whatever_happens(
    world: World,
    tasks: TaskService,
    store: Store,
    clock: FakeClock,
    authorities: Authorities,
    policies: ShippedPolicy,
    steps: list[tuple[tuple[str, tuple[str, ...], int], int]],
    heartbeat: int,
) -> None:
    await world.put(replace(world.bot, heartbeat=heartbeat))
    me = SpiffeId.parse(world.me)
    entry = Entry(
        "bot", me, SpiffeId.parse("spiffe://example.org/agent"), (Selector("unix", "uid:1"),), principal="bot"
    )
    if await store.read(lambda tx: tx.entries.get("bot")) is None:
        await store.write(lambda tx: tx.entries.create(entry))
    issuer = "https://issuer.example"
    tokens = TaskTokens(issuer, TrustDomain("example.org"), authorities)
    credentials = CredentialService(store, policies, clock, tokens.sign, tokens.ends_at, issuer)
    schedule = Schedule(world, tasks, credentials)
    await schedule.open(("crm.read", "crm.refund"), 0, "")
    for step, pick in steps:
        with suppress(AssayError):
            await schedule.take(step, pick)
        await schedule.check()
    assert all(one.expires_at <= one.issued_at + 300 for one in schedule.issued)
