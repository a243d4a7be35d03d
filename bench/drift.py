"""A stricter policy is pushed over 10,000 live tasks, half of which it concerns: how long until these are revoked.

`python -m bench drift`. Beside it what nobody can do without who asks about each task by itself: as many bare questions
to Cedar, with everything parsed before. Each task has a live token, and its revocation is on disk with its decision.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from assay.clock import SystemClock
from assay.crypto.keys import generate
from assay.governed.authority import Access
from assay.keymanager.base import KeyType, SigningKey
from assay_server.datastore.base import Store, Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.governance.driftreconciler import DriftReconciler
from assay_server.governance.driftsweep import DriftSweep
from assay_server.governance.policies import Policies
from assay_server.governance.policystore import PolicyStore
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState, Trigger
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Intent, Task
from assay_server.policy.engine import shipped
from assay_server.policy.sample import request_of
from bench.figure import Figure
from bench.policy import bare

TASKS, PRINCIPALS, AT_ONCE = 10_000, 100, 500
GATE = 5.0
"""Seconds until all that are concerned are revoked."""

CRM = "https://crm/mcp"
STRICTER = '@id("no-exports") forbid (principal, action, resource == Assay::Tool::"crm.export");'


def figures() -> Iterator[Figure]:
    floor = bare(shipped(), request_of("credential:issue", {}))
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        wall, cpu, revoked = asyncio.run(swept(Path(folder) / "datastore.sqlite3"))
    verdict = "within" if wall <= GATE else "OVER"
    title = f"drift: {revoked} of {TASKS} tasks revoked in {wall:.1f} s, {verdict} {GATE:.0f}"
    yield Figure(title, TASKS / wall, 1e6 * cpu / TASKS, floor.name, floor.cpu)


async def swept(path: Path) -> tuple[float, float, int]:
    """Seconds from the push to the end of the sweep, seconds of CPU in that, and how many tasks are revoked."""
    clock = SystemClock()
    store = await open_store(path, clock=clock)
    try:
        await filled(store, int(clock.now().timestamp()))
        policies = Policies(store)
        await policies.current()
        reconciler = DriftReconciler(store, clock, lambda: DriftSweep(store, policies, clock).sweep)
        await reconciler.reconcile()
        assert await of_state(store, "active") == TASKS
        await PolicyStore(store, clock, key).push({**shipped().bundle.files, "own.cedar": STRICTER}, "", "", "bench")
        wall, cpu = time.perf_counter(), time.process_time()
        await reconciler.reconcile()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        revoked = await of_state(store, "revoked")
        assert revoked == await store.read(lambda tx: tx.governed.count(TASK, [("tool", "crm.export")]))
        assert await of_state(store, "active") == TASKS - revoked
    finally:
        await store.close()
    return wall, cpu, revoked


async def of_state(store: Store, state: str) -> int:
    return await store.read(lambda tx: tx.governed.count(TASK, [("state", state)]))


async def key() -> SigningKey:
    return generate(KeyType.EC_P256)


async def filled(store: Store, now: int) -> None:
    await store.write(registered)
    for begin in range(0, TASKS, AT_ONCE):
        await store.write(lambda tx, at=begin: put_some(tx, at, now))  # type: ignore[misc]


def registered(tx: Transaction) -> None:
    owner = Owner("person:alice@corp")
    bot = Principal(
        "bot", ActorType.AI_AGENT, owner.name, "answer", "prod", "acme", ("tickets",), Risk.LOW, "acme-4",
        tools=("crm.read", "crm.export"), approvals=(), heartbeat=0, triggers=(Trigger.TIMEOUT,),
        state=PrincipalState.ACTIVE,
    )  # fmt: skip
    tx.governed.put(OWNER, owner)
    tx.governed.put(RESOURCE, Resource(CRM, "prod", "acme", Sensitivity.INTERNAL))
    for tool in ("crm.read", "crm.export"):
        tx.governed.put(TOOL, Tool(tool, CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW))
    for number in range(PRINCIPALS):
        tx.governed.put(PRINCIPAL, replace(bot, name=f"bot-{number}"))


def put_some(tx: Transaction, begin: int, now: int) -> None:
    for number in range(begin, begin + AT_ONCE):
        put(tx, number, now)


def put(tx: Transaction, number: int, now: int) -> None:
    principal, tool = f"bot-{number % PRINCIPALS}", ("crm.read", "crm.export")[number % 2]
    instance = f"spiffe://example.org/principal/{principal}/{number}"
    task = Task(
        f"tsk_{number:026}", principal, instance, "person:alice@corp", "acme", "prod", Intent("answer"),
        (Access(CRM, (tool,)),), "sha-256:i", "sha-256:a", "operator:local:0", now, now + 3600,
    )  # fmt: skip
    credential = Credential(
        f"crd_{number:026}", "at+jwt", task.task_id, principal, instance, CRM, "sha-256:a", "thumb", now, now + 3600,
        "dec_1", actions=(tool,),
    )  # fmt: skip
    tx.governed.put(TASK, task)
    tx.governed.put(CREDENTIAL, credential)
