"""A task's token over loopback: decision, record on disk and signature, beside a page that has none of these."""

import asyncio
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx

from assay.clock import SystemClock
from assay.entry import Entry
from assay.governed.authority import Access
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.deployment import Deployment, free_port
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState, Trigger
from assay_server.model.governed.task import TASK, Intent, Task
from bench.figure import Figure, cpu_of

CRM = "https://crm/mcp"
ME = SpiffeId.parse("spiffe://example.test/principal/bot")
WARM, CALLS = 50, 500


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="assay-") as name, closing(Deployment(Path(name))) as house:
        issuer = start(house)
        with session(house) as client:
            page = measured(house, lambda: client.get(f"{issuer}/jwks").raise_for_status())
            form = {"grant_type": "client_credentials", "client_id": str(ME), "resource": CRM}
            token = measured(house, lambda: client.post(f"{issuer}/token", data=form).raise_for_status())
        times, cpu = token
        title = f"a task's token: {1000 * times[CALLS // 2]:.1f} ms, p99 {1000 * times[CALLS * 99 // 100]:.1f}"
        yield Figure(title, CALLS / sum(times), cpu, "a page of the endpoint", page[1])


def start(house: Deployment) -> str:
    """A server with a task and an endpoint; the endpoint's URL."""
    issuer = f"https://localhost:{free_port()}"
    config = house.dir / "server.conf"
    settings = f'issuer = "{issuer}" bind_address = "127.0.0.1" bind_port = {issuer.rpartition(":")[2]}'
    config.write_text(config.read_text() + f"assay {{ token_endpoint {{ {settings} }} }}\n")
    asyncio.run(filled(house.dir / "server" / "datastore.sqlite3"))
    house.start_server()
    house.write_bundle()
    house.run(
        "x509", "mint", "--spiffe-id", str(ME), "--write", str(house.dir), "--socket-path", str(house.admin)
    )  # fmt: skip
    house.until("server", lambda: "Starting token endpoint" in house.log("server"))
    return issuer


def session(house: Deployment) -> httpx.Client:
    """One connection that stays open, with the instance's SVID."""
    context = ssl.create_default_context(cafile=str(house.dir / "bundle.pem"))
    context.load_cert_chain(house.dir / "svid.pem", house.dir / "key.pem")
    return httpx.Client(verify=context)


def measured(house: Deployment, call: Callable[[], object]) -> tuple[list[float], float]:
    """Seconds of each call, sorted, and µs of the server's CPU for one."""
    for _ in range(WARM):
        call()
    pid, times = house.processes["server"].pid, list[float]()
    cpu = cpu_of(pid)
    for _ in range(CALLS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return sorted(times), 1e6 * (cpu_of(pid) - cpu) / CALLS


async def filled(path: Path) -> None:
    store = await open_store(path, clock=SystemClock())
    try:
        await store.write(fill)
    finally:
        await store.close()


def fill(tx: Transaction) -> None:
    now = int(SystemClock().now().timestamp())
    owner = Owner("person:alice@corp")
    bot = Principal(
        "bot", ActorType.AI_AGENT, owner.name, "answer", "prod", "acme", ("tickets",), Risk.LOW, "acme-4",
        tools=("crm.read",), approvals=(), heartbeat=0, triggers=(Trigger.TIMEOUT,), state=PrincipalState.ACTIVE,
    )  # fmt: skip
    task = Task(
        "tsk_1", "bot", "", owner.name, "acme", "prod", Intent("answer"), (Access(CRM, ("crm.read",)),),
        "sha-256:i", "sha-256:a", "operator:local:0", now, now + 3600,
    )  # fmt: skip
    tx.governed.put(OWNER, owner)
    tx.governed.put(RESOURCE, Resource(CRM, "prod", "acme", Sensitivity.INTERNAL))
    tx.governed.put(TOOL, Tool("crm.read", CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW))
    tx.governed.put(PRINCIPAL, bot)
    tx.governed.put(TASK, task)
    parent = SpiffeId.parse("spiffe://example.test/agent")
    tx.entries.create(Entry("bot", ME, parent, (Selector("unix", "uid:1"),), principal="bot"))
