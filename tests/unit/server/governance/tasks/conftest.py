"""A world with an agent that may read and refund in one tenant, and tasks in a real store."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from assay.governed.authority import Access
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.opening import Opener, Terms
from assay_server.governance.policies import ShippedPolicy
from assay_server.governance.task_request import TaskRequest, intent_of
from assay_server.governance.tasks import By, Caller, TaskService
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL, ActorType, Instance, Principal, PrincipalState
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Task

ALICE = Owner("person:alice@corp")
CRM = Resource("https://crm/mcp", "prod", "acme", Sensitivity.INTERNAL)
OTHER = Resource("https://crm.other/mcp", "prod", "other", Sensitivity.INTERNAL)
READ = Tool("crm.read", CRM.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
REFUND = Tool("crm.refund", CRM.uri, ActionClass.CONSEQUENTIAL_WRITE, Risk.LOW)
FOREIGN = Tool("other.read", OTHER.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
BOT = Principal(
    "bot", ActorType.AI_AGENT, ALICE.name, "answer", "prod", "acme", ("tickets",), Risk.LOW, "acme-4",
    ("crm.read", "crm.refund", "other.read", "gone.read"), state=PrincipalState.ACTIVE,
)  # fmt: skip
ME, TWIN = "spiffe://example.org/principal/bot/one", "spiffe://example.org/principal/bot/two"
NOUNS: dict[type, Any] = {
    Owner: OWNER, Resource: RESOURCE, Tool: TOOL, Principal: PRINCIPAL, Instance: INSTANCE, Task: TASK,
    Credential: CREDENTIAL,
}  # fmt: skip

Put = Callable[..., Awaitable[None]]


class World:
    """What the tests say and look at."""

    alice, crm, other, read, refund, foreign, bot = ALICE, CRM, OTHER, READ, REFUND, FOREIGN, BOT
    me, twin = ME, TWIN
    opener = Opener(f"workload:{ME}", ME, "bot", ME)
    mine = By(callers=(Caller("bot", ME),))
    twins = By(callers=(Caller("bot", TWIN),))
    operator = By("local:0")

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock

    @property
    def now(self) -> int:
        return int(self.clock.now().timestamp())

    async def put(self, *objects: Any) -> None:  # noqa: ANN401 - governed objects
        def write(tx: Transaction) -> None:
            for each in objects:
                tx.governed.put(NOUNS[type(each)], each)

        await self.store.write(write)

    async def get(self, noun: Any, key: str) -> Any:  # noqa: ANN401 - any noun's
        return await self.store.read(lambda tx: tx.governed.get(noun, key))

    async def events(self, task_id: str = "") -> list[Any]:
        return (await self.store.read(lambda tx: tx.events.find(Page(), task_id=task_id)))[0]

    def request(self, *actions: str, **changes: Any) -> TaskRequest:  # noqa: ANN401 - fields of TaskRequest
        access = Access(CRM.uri, actions or ("crm.read",))
        made = TaskRequest(intent=intent_of(json.dumps({"goal": "answer ticket 7"})), authority=(access,))
        return replace(made, **changes)

    def credential(self, task: Task, jti: str, **changes: Any) -> Credential:  # noqa: ANN401 - fields of Credential
        made = Credential(
            jti, "at+jwt", task.task_id, "bot", ME, CRM.uri, task.authority_hash, "", self.now, task.ends_at, "dec_1"
        )
        return replace(made, **changes)


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> World:
    world = World(store, clock)
    await world.put(ALICE, CRM, OTHER, READ, REFUND, FOREIGN, BOT)
    return world


@pytest.fixture(scope="session")
def policies() -> ShippedPolicy:
    return ShippedPolicy()


@pytest.fixture
def tasks(store: Store, clock: FakeClock, policies: ShippedPolicy) -> TaskService:
    return TaskService(store, clock, policies, Terms("https://issuer.example"))
