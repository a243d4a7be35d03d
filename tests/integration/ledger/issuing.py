"""A process that issues a task's credentials and says each one's ID when it has it; the tests make its life hard.

`python issuing.py PATH KEY kill` goes on until it is killed, and signs checkpoints; `... full` goes on until its file
system takes no more, says `full` and why, then gets room and goes on for ten more. Lines are `issued <jti>`.
"""

import asyncio
import os
import resource
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import structlog

from assay.clock import SystemClock
from assay.entry import Entry
from assay.errors import UnavailableError
from assay.governed.authority import Access
from assay.keymanager.base import SigningKey
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.cli.policyfolder import read_key
from assay_server.datastore.base import Store, Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.governance.checkpoints import Checkpoints
from assay_server.governance.credentials import CredentialService, Granted
from assay_server.governance.journal import Write
from assay_server.governance.policies import ShippedPolicy
from assay_server.governance.request import Binding, Confirmation, CredentialRequest
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState
from assay_server.model.governed.task import TASK, Intent, Task

CRM = Resource("https://crm/mcp", "prod", "acme", Sensitivity.INTERNAL)
ME = SpiffeId.parse("spiffe://example.org/principal/bot")
ASKED = CredentialRequest("tsk_1", ME, CRM.uri, Confirmation(Binding.DPOP, "thumb"))
AT_ONCE = 4
ROOM = 1_000_000
"""Bytes that files may grow by; the write-ahead log reaches the limit first."""


def say(*words: str) -> None:
    os.write(1, (" ".join(words) + "\n").encode())


def fill(tx: Transaction) -> None:
    if tx.governed.get(TASK, "tsk_1") is not None:
        return
    now = int(SystemClock().now().timestamp())
    alice = Owner("person:alice@corp")
    bot = Principal(
        "bot", ActorType.AI_AGENT, alice.name, "answer", "prod", "acme", tools=("crm.read",), risk_class=Risk.LOW,
        model="acme-4", state=PrincipalState.ACTIVE,
    )  # fmt: skip
    task = Task(
        "tsk_1", "bot", "", alice.name, "acme", "prod", Intent("answer"), (Access(CRM.uri, ("crm.read",)),),
        "sha-256:i", "sha-256:a", "operator:local", now, now + 3600,
    )  # fmt: skip
    tool = Tool("crm.read", CRM.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
    written: list[Write] = [(OWNER, alice), (RESOURCE, CRM), (TOOL, tool), (PRINCIPAL, bot), (TASK, task)]
    for noun, value in written:
        tx.governed.put(noun, value)
    agent = SpiffeId.parse("spiffe://example.org/agent")
    tx.entries.create(Entry("bot", ME, agent, (Selector("unix", "uid:1"),), principal="bot"))


def signed(granted: Granted) -> str:
    """A token; that it was made at all is what the tests look at."""
    say("signed", granted.credential.jti)
    return "token"


async def key() -> SigningKey:
    return read_key(Path(sys.argv[2]))


async def issue(service: CredentialService) -> None:
    issued = await service.issue(ASKED)
    say("issued", issued.granted.credential.jti)


async def until_killed(service: CredentialService, store: Store) -> None:
    checkpoints = Checkpoints(store, SystemClock(), TrustDomain("example.org"), key)

    async def go_on() -> None:
        for number in count():
            await issue(service)
            if not number % 5:
                await checkpoints.make()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(go_on())


async def until_full(service: CredentialService, path: Path) -> None:
    limit(max(file.stat().st_size for file in path.parent.iterdir()) + ROOM)
    while True:
        try:
            await issue(service)
        except UnavailableError as error:
            say("full", str(error))
            break
    for _ in range(3):
        try:
            await issue(service)
        except UnavailableError:
            say("still full")
    limit(resource.RLIM_INFINITY)
    for _ in range(10):
        await issue(service)


def limit(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


async def main(path: Path, how: str) -> None:
    store = await open_store(path, clock=SystemClock())
    await store.write(fill)
    ends: Callable[[], int] = lambda: 2**40  # noqa: E731 - the signing key's end
    service = CredentialService(store, ShippedPolicy(), SystemClock(), signed, ends, "")
    await (until_killed(service, store) if how == "kill" else until_full(service, path))
    await store.close()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), sys.argv[3]))
