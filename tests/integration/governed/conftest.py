"""A server and an agent that run, where this process is a governed agent of one tenant.

What is registered is written by the store itself, while the server is down.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from assay.clock import SystemClock
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.deployment import Deployment
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState, Trigger

CRM = Resource("https://crm/mcp", "prod", "acme", Sensitivity.INTERNAL)
READ = Tool("crm.read", CRM.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
BOT = Principal(
    "bot", ActorType.AI_AGENT, "person:alice@corp", "answer", "prod", "acme", ("tickets",), Risk.LOW, "acme-4",
    ("crm.read",), approvals=(), heartbeat=0, triggers=(Trigger.BUDGET_SPENT,), state=PrincipalState.ACTIVE,
)  # fmt: skip

Written = Callable[[Deployment, Callable[[Transaction], None]], Awaitable[None]]


@pytest.fixture
def written() -> Written:
    """Writes to the store of a server that is stopped for it and started again."""

    async def write(deployment: Deployment, work: Callable[[Transaction], None]) -> None:
        deployment.stop("server")
        store = await open_store(deployment.dir / "server" / "datastore.sqlite3", clock=SystemClock())
        await store.write(work)
        await store.close()
        deployment.start_server()

    return write


@pytest.fixture
async def governed(deployment: Deployment, written: Written) -> Deployment:
    """The deployment with a principal `bot`, which processes of this user are."""
    agent = SpiffeId.parse(deployment.agent_id())
    bot = SpiffeId(agent.trust_domain, "/principal/bot")
    entry = Entry("bot", bot, agent, (Selector("unix", f"uid:{os.getuid()}"),), principal="bot")

    def register(tx: Transaction) -> None:
        objects: list[tuple[Any, Any]] = [(OWNER, Owner(BOT.owner)), (RESOURCE, CRM), (TOOL, READ), (PRINCIPAL, BOT)]
        for noun, value in objects:
            tx.governed.put(noun, value)
        tx.entries.create(entry)

    await written(deployment, register)
    return deployment
