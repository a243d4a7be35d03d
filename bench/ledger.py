"""The ledger: what its chain adds to a credential, and how long a verification of a million records takes.

`python -m bench ledger`. A credential is issued with everything written to disk; beside it the same by a store whose
events are rows without hash and canonical form, as they would be without a ledger. Verification is of a file
of a million records, beside reading the same lines as JSON and hashing them.
"""

import asyncio
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from assay.clock import SystemClock
from assay.entry import Entry
from assay.governed.authority import Access
from assay.ledger.checkpoint import Checkpoint, CheckpointKeys, sign
from assay.ledger.export import Header, checkpoint_line
from assay.ledger.record import NOTHING, canonical, hash_of, record_line
from assay.ledger.verification import Trusted, verify
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import ChangeKind, Transaction
from assay_server.datastore.sql.events import SqlEvents
from assay_server.datastore.sql.governed import adapter
from assay_server.datastore.sql.store import SqlStore, open_store
from assay_server.datastore.sql.text import events as sql
from assay_server.governance.credentials import CredentialService
from assay_server.governance.journal import Write
from assay_server.governance.policies import ShippedPolicy
from assay_server.governance.request import Binding, Confirmation, CredentialRequest
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.event import Event
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState
from assay_server.model.governed.task import TASK, Intent, Task
from assay_server.policy.inputs import inputs_of
from assay_server.policy.sample import request_of
from bench.figure import Figure
from bench.figure import best as best_of

RECORDS, EVERY = 1_000_000, 1000
WARM, ISSUED, ROUNDS, AT_ONCE = 100, 400, 5, 8

CRM = "https://crm/mcp"
ME = SpiffeId.parse("spiffe://example.org/principal/bot")
ASKED = CredentialRequest("tsk_1", ME, CRM, Confirmation(Binding.DPOP, "thumb"))
A_ORG = TrustDomain("example.org")


class Unchained(SqlEvents):
    """Events as rows that nothing links; the number keeps the table's own index busy all the same."""

    def append(self, event: Event) -> None:
        position = self._changes.append(ChangeKind.GOVERNED, f"event/{event.type.value}")
        row = {"at": event.at, "type": event.type.value, "task_id": event.task_id, "principal": event.principal}
        document = adapter(Event).dump_json(event).decode()
        self._connection.run(
            sql.INSERT, {"position": position, "number": position, "hash": "", "document": document, **row}
        )


def figures() -> Iterator[Figure]:
    yield asyncio.run(issuing())
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        yield verifying(Path(name) / "ledger.jsonl")


async def issuing() -> Figure:
    """By turns, since another minute may be a slower one; the best round of each."""
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        stores = [await filled(Path(name) / kind / "db") for kind in ("chained", "unchained")]
        unlink(stores[1])
        services = [
            CredentialService(store, ShippedPolicy(), SystemClock(), lambda _: "", lambda: 2**40, "")
            for store in stores
        ]
        best = [float("inf")] * 2
        for count in (WARM, *[ISSUED] * ROUNDS):
            for at, service in enumerate(services):
                taken = await cpu_of_issuing(service, count)
                best[at] = min(best[at], taken if count == ISSUED else best[at])
        for store in stores:
            await store.close()
    chained, bare = best
    # The ledger's, too, and in both: the hash of what the decision was made of.
    inputs = inputs_of(request_of("credential:issue", {}))
    bare -= best_of(lambda: hash_of(canonical(inputs)), 100)
    return Figure("a credential decided, written down, in the ledger", 1e6 / chained, chained, "without a ledger", bare)


async def cpu_of_issuing(service: CredentialService, count: int) -> float:
    """µs of CPU for one, the store's threads with it."""
    begin = time.process_time()
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(service.issue(ASKED) for _ in range(AT_ONCE)))
    return 1e6 * (time.process_time() - begin) / (count // AT_ONCE * AT_ONCE)


def unlink(store: SqlStore) -> None:
    """The switch, which only a benchmark has: the writer's events are rows like others."""
    transaction = store._pipeline._group._transaction  # noqa: SLF001 - nothing outside may have such a switch
    transaction.events = Unchained(transaction.events._connection, transaction.changes)  # noqa: SLF001 - likewise


async def filled(path: Path) -> SqlStore:
    store = await open_store(path, clock=SystemClock())
    await store.write(fill)
    return store


def fill(tx: Transaction) -> None:
    now = int(SystemClock().now().timestamp())
    owner = Owner("person:alice@corp")
    bot = Principal(
        "bot", ActorType.AI_AGENT, owner.name, "answer", "prod", "acme", ("tickets",), Risk.LOW, "acme-4",
        tools=("crm.read",), approvals=(), state=PrincipalState.ACTIVE,
    )  # fmt: skip
    task = Task(
        "tsk_1", "bot", "", owner.name, "acme", "prod", Intent("answer"), (Access(CRM, ("crm.read",)),),
        "sha-256:i", "sha-256:a", "operator:local:0", now, now + 3600,
    )  # fmt: skip
    tool = Tool("crm.read", CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
    resource = Resource(CRM, "prod", "acme", Sensitivity.INTERNAL)
    written: list[Write] = [(OWNER, owner), (RESOURCE, resource), (TOOL, tool), (PRINCIPAL, bot), (TASK, task)]
    for noun, value in written:
        tx.governed.put(noun, value)
    agent = SpiffeId.parse("spiffe://example.org/agent")
    tx.entries.create(Entry("bot", ME, agent, (Selector("unix", "uid:1"),), principal="bot"))


def verifying(path: Path) -> Figure:
    key = ec.generate_private_key(ec.SECP256R1())
    write(path, key)
    begin = time.process_time()
    for line in path.open("rb"):
        json.loads(line)
        hashlib.sha256(line).digest()
    floor = 1e6 * (time.process_time() - begin) / RECORDS
    begin, start = time.process_time(), time.perf_counter()
    with path.open("rb") as lines:
        verdict = verify(lines, Trusted(CheckpointKeys([key.public_key()]), (), A_ORG))
    taken, passed = 1e6 * (time.process_time() - begin) / RECORDS, time.perf_counter() - start
    assert verdict.whole, verdict
    title = f"a record verified, of {RECORDS:,}: {passed:.1f} s"
    return Figure(title, RECORDS / passed, taken, "JSON and SHA-256 of a line", floor)


def write(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    previous, token = NOTHING, ""
    with path.open("w") as file:
        # Whose end is known only then: as long as the header that will be written over it.
        file.write(" " * 1023 + "\n")
        for number in range(1, RECORDS + 1):
            body = canonical(record(number, previous))
            previous = hash_of(body)
            file.write(record_line(body.decode(), previous) + "\n")
            if not number % EVERY:
                token = sign(key, Checkpoint(A_ORG, number, previous, number, "incarnation"))
                file.write(checkpoint_line(token) + "\n")
        file.seek(0)
        file.write(Header(A_ORG.name, "incarnation", 1, RECORDS, RECORDS, "", token).line())


def record(number: int, previous: str) -> dict[str, object]:
    details = {
        "point": "credential:issue", "tool": "crm.read", "resource": CRM, "audience": CRM, "instance": str(ME),
        "on_behalf_of": "", "environment": "prod", "tenant": "acme", "risk_score": 0, "quarantined": False,
        "parameters_digest": "", "effect": "allow", "ttl": 300, "policies": ["task-scoped"], "policy_version": 3,
        "policy_digest": f"sha-256:{'d' * 43}", "reason": "allowed by task-scoped",
        "inputs_digest": f"sha-256:{'i' * 43}",
    }  # fmt: skip
    return {
        "number": number, "previous": previous, "at": number, "type": "decision", "actor": str(ME),
        "subject": f"dec_{number:026}", "task_id": "tsk_01K9ZQ8Y3V5M2N7R4T6W8X0Z1B", "principal": "bot",
        "actor_type": "ai_agent", "details": details,
    }  # fmt: skip
