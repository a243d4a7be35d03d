"""Registration on a real store: its services as the daemon puts them together, and what tests register with them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from assay.entry import Entry
from assay.governed.authority import Access
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page
from assay_server.datastore.sql.store import SqlStore
from assay_server.governance.bindings import BindingService, NewBinding
from assay_server.governance.catalogue import GRANTS, RESOURCES, TOOLS, CatalogueService
from assay_server.governance.inventory import Inventory
from assay_server.governance.owners import OwnerService
from assay_server.governance.principal_state import Move
from assay_server.governance.principals import PrincipalService
from assay_server.governance.sweeper import Sweeper
from assay_server.model.governed.catalogue import ActionClass, Grant, Holder, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.event import Event
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, Trigger
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Intent, Task

TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
ALICE, BOB = "person:alice@corp", "person:bob@corp"
CRM = "https://crm.corp/mcp"
ME = "local:1000"

WHOLE = Principal(
    "bot",
    ActorType.AI_AGENT,
    owner=ALICE,
    purpose="answer tickets",
    environment="prod",
    tenant="acme",
    data_classes=("customer",),
    risk_class=Risk.LOW,
    model="acme-llm-4",
    tools=("crm.read",),
    approvals=(),
    heartbeat=30,
    triggers=(Trigger.OWNER_LEFT,),
)


class House:
    """The services, and short ways to use them as one operator."""

    def __init__(self, store: SqlStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.sweeper = Sweeper(store, clock)
        self.swept = 0
        self.owners = OwnerService(store, clock, self._ask)
        self.principals = PrincipalService(store, clock, TD)
        self.bindings = BindingService(store, clock, TD)
        self.inventory = Inventory(store, clock)
        self.resources = CatalogueService(RESOURCES, store, clock)
        self.tools = CatalogueService(TOOLS, store, clock)
        self.grants = CatalogueService(GRANTS, store, clock)
        self.whole = WHOLE

    def _ask(self) -> None:
        self.swept += 1

    @property
    def now(self) -> int:
        return int(self.clock.now().timestamp())

    async def furnish(self) -> None:
        """Two owners, and a catalogue."""
        for owner in (ALICE, BOB):
            await self.owners.add(owner, ME)
        await self.resources.add(Resource(CRM, "prod", "acme", Sensitivity.INTERNAL), ME)
        await self.tools.add(Tool("crm.read", CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW), ME)
        await self.tools.add(Tool("crm.refund", CRM, ActionClass.IRREVERSIBLE, Risk.HIGH), ME)
        for grant in (Grant("root", Holder.HUMAN, administers=True), Grant("batch", Holder.MACHINE)):
            await self.grants.add(grant, ME)

    async def register(self, name: str = "bot", **changes: Any) -> Principal:  # noqa: ANN401 - fields of Principal
        """Stage one that lacks nothing but for the changes."""
        return (await self.principals.register(replace(WHOLE, name=name, **changes), ME)).principal

    async def activate(self, name: str = "bot", **changes: Any) -> Principal:  # noqa: ANN401 - fields of Principal
        """Register one and put it to work."""
        await self.register(name, **changes)
        return await self.move(name, Move.ACTIVATE)

    async def move(self, name: str, move: Move, reason: str = "") -> Principal:
        return (await self.principals.move(name, move, reason, ME)).principal

    async def bind(self, name: str = "bot", selector: str = "unix:uid:1", instance_from: str = "") -> Entry:
        binding = NewBinding(name, AGENT, (Selector.parse(selector),), instance_from)
        return await self.bindings.bind(binding, ME)

    async def get(self, name: str = "bot") -> Principal:
        found = await self.store.read(lambda tx: tx.governed.get(PRINCIPAL, name))
        assert found is not None
        return found

    async def entry(self, entry_id: str) -> Entry | None:
        return await self.store.read(lambda tx: tx.entries.get(entry_id))

    async def work(self, name: str = "bot", owner: str = ALICE) -> tuple[Task, Credential]:
        """A task of that principal, and a credential of it, written through the store."""
        task = Task(
            f"tsk_{name}", name, "", owner, "acme", "prod", Intent("answer"), (Access(CRM, ("crm.read",)),),
            "sha-256:i", "sha-256:a", "operator:local", self.now, self.now + 600,
        )  # fmt: skip
        token = Credential(
            f"crd_{name}", "at+jwt", task.task_id, name, "", CRM, "sha-256:a", "", self.now, self.now + 300, "dec_1"
        )
        await self.store.write(lambda tx: tx.governed.put(TASK, task))
        await self.store.write(lambda tx: tx.governed.put(CREDENTIAL, token))
        return task, token

    async def task(self, name: str = "bot") -> Task:
        found = await self.store.read(lambda tx: tx.governed.get(TASK, f"tsk_{name}"))
        assert found is not None
        return found

    async def credential(self, name: str = "bot") -> Credential:
        found = await self.store.read(lambda tx: tx.governed.get(CREDENTIAL, f"crd_{name}"))
        assert found is not None
        return found

    async def events(self, principal: str = "") -> Sequence[Event]:
        return (await self.store.read(lambda tx: tx.events.find(Page(), principal=principal)))[0]


@pytest.fixture
async def house(store: SqlStore, clock: FakeClock) -> House:
    made = House(store, clock)
    await made.furnish()
    return made
