"""A task's token as its callers wait for it, over HTTPS on loopback and over the agent's socket, beside its floors.

`python -m bench tokens`. Decision, record on disk and signature are in each of them. The floors are of the same run: a
page of the same endpoint, a bare echo by gRPC, the bare question to Cedar, and the disk, which each token waits for.
"""

import asyncio
import os
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from assay.clock import SystemClock
from assay.entry import Entry
from assay.governed.authority import Access
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.deployment import Deployment, free_port
from assay.testing.echo import EchoStub
from assay.transport.dial import dial_unix
from assay.workloadapi.tasks import TaskClient
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState, Trigger
from assay_server.model.governed.task import TASK, Intent, Task
from assay_server.policy.decide import decide
from assay_server.policy.engine import shipped
from assay_server.policy.sample import request_of
from bench import policy, rpc
from bench.figure import Figure, best, cpu_of

CRM = "https://crm/mcp"
ME = SpiffeId.parse("spiffe://example.test/principal/bot")
FORM = {"grant_type": "client_credentials", "client_id": str(ME), "resource": CRM}
WARM, CALLS, AT_ONCE = 100, 1000, 8
WRITTEN = 80 * 1024  # what a token's transaction adds to the write-ahead log: 20 pages

Times = Sequence[float]


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="assay-") as name, closing(Deployment(Path(name))) as house:
        issuer = start(house)
        yield disk(house.dir / "disk")
        yield decision()
        with closing(Caller(house, issuer)) as caller:
            page, floor = measured([house.processes["server"].pid], caller.page)
            yield Figure(titled("a page of the endpoint", page), rate(page), floor)
            token, cpu = measured([house.processes["server"].pid], caller.token)
            yield Figure(titled("a task's token by HTTPS", token), rate(token), cpu, "a page of the endpoint", floor)
        yield many(house, issuer, floor)
        yield from asyncio.run(by_socket(house))


class Caller:
    """An OAuth client on a connection that stays open, with the instance's SVID; as little of its own as can be."""

    def __init__(self, house: Deployment, issuer: str) -> None:
        url = urlsplit(issuer)
        context = ssl.create_default_context(cafile=str(house.dir / "bundle.pem"))
        context.load_cert_chain(house.dir / "svid.pem", house.dir / "key.pem")
        self._connection = HTTPSConnection(url.hostname or "", url.port, context=context)

    def page(self) -> None:
        self._answered("GET", "/jwks")

    def token(self) -> None:
        self._answered("POST", "/token", urlencode(FORM), {"Content-Type": "application/x-www-form-urlencoded"})

    def close(self) -> None:
        self._connection.close()

    def _answered(self, *request: object) -> None:
        self._connection.request(*request)  # type: ignore[arg-type]
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise RuntimeError(f"{answer.status}: {body!r}")


def start(house: Deployment) -> str:
    """A server with a task and an endpoint, and an agent where this process is the principal; the endpoint's URL."""
    issuer = f"https://localhost:{free_port()}"
    config = house.dir / "server.conf"
    settings = f'issuer = "{issuer}" bind_address = "127.0.0.1" bind_port = {issuer.rpartition(":")[2]}'
    config.write_text(config.read_text() + f"assay {{ token_endpoint {{ {settings} }} }}\n")
    house.start()
    agent = SpiffeId.parse(house.agent_id())
    house.stop("server")
    asyncio.run(filled(house.dir / "server" / "datastore.sqlite3", agent))
    house.start_server()
    house.run(
        "x509", "mint", "--spiffe-id", str(ME), "--write", str(house.dir), "--socket-path", str(house.admin)
    )  # fmt: skip
    house.until("server", lambda: house.log("server").count("Starting token endpoint") > 1)
    return issuer


def measured(pids: Sequence[int], call: Callable[[], object]) -> tuple[Times, float]:
    """Seconds of each call, sorted, and µs of these processes' CPU for one."""
    for _ in range(WARM):
        call()
    times, cpu = list[float](), spent(pids)
    for _ in range(CALLS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return sorted(times), 1e6 * (spent(pids) - cpu) / CALLS


async def measured_async(pids: Sequence[int], call: Callable[[], Awaitable[object]]) -> tuple[Times, float]:
    """The same."""
    for _ in range(WARM):
        await call()
    times, cpu = list[float](), spent(pids)
    for _ in range(CALLS):
        begin = time.perf_counter()
        await call()
        times.append(time.perf_counter() - begin)
    return sorted(times), 1e6 * (spent(pids) - cpu) / CALLS


def many(house: Deployment, issuer: str, floor: float) -> Figure:
    """So many clients at once, which share commits."""

    def one(_: int) -> Times:
        with closing(Caller(house, issuer)) as caller:
            return measured((), caller.token)[0]

    pids, begun = [house.processes["server"].pid], time.perf_counter()
    cpu = spent(pids)
    with ThreadPoolExecutor(AT_ONCE) as clients:
        times = sorted(each for found in clients.map(one, range(AT_ONCE)) for each in found)
    count = AT_ONCE * (WARM + CALLS)
    each, taken = 1e6 * (spent(pids) - cpu) / count, time.perf_counter() - begun
    return Figure(titled(f"the same, {AT_ONCE} at once", times), count / taken, each, "a page of the endpoint", floor)


async def by_socket(house: Deployment) -> Iterator[Figure]:
    """Over the agent's socket, which attests the caller and asks the server; beside it a task that is only read."""
    echo = await echoed(house.dir)
    pids = [house.processes[name].pid for name in ("server", "agent")]
    async with TaskClient(house.api) as tasks:
        read, floor = await measured_async(pids, lambda: tasks.get("tsk_1"))
        token, cpu = await measured_async(pids, lambda: tasks.credential("tsk_1", CRM, jkt="A" * 43))
    return iter(
        [
            Figure(titled("a task read by the agent's socket", read), rate(read), floor, "bare echo by gRPC", echo),
            Figure(titled("a task's token by the agent's socket", token), rate(token), cpu, "bare echo by gRPC", echo),
        ]
    )


async def echoed(folder: Path) -> float:
    """µs of CPU for an echo by bare grpc.aio."""
    server = rpc.start("bare", folder)
    try:
        async with dial_unix(folder / "bare") as channel:
            stub = EchoStub(channel)
            return (await measured_async([server.pid], lambda: stub.unary(b"hello")))[1]
    finally:
        server.kill()
        server.communicate()


def decision() -> Figure:
    """The decision alone, in this process."""
    live, request = shipped(), request_of("credential:issue", {})
    floor = policy.bare(live, request)
    cpu = best(lambda: decide(live, request, "dec_1"), policy.COUNT, policy.ROUNDS)
    return Figure("the decision alone, in process", 1e6 / cpu, cpu, floor.name, floor.cpu)


def disk(path: Path) -> Figure:
    """What a token waits for whatever else it does: that much on the disk, over what was there before."""
    times = list[float]()
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, WRITTEN * CALLS)
        os.fsync(file.fileno())
        for _ in range(CALLS):
            begin = time.perf_counter()
            file.write(b"x" * WRITTEN)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begin)
    times.sort()
    return Figure(titled("the disk alone", times), rate(times), 0)


def titled(what: str, times: Times) -> str:
    """With its median and its 99th percentile in ms; `times` are sorted."""
    return f"{what}: {1000 * times[len(times) // 2]:.1f} ms, p99 {1000 * times[len(times) * 99 // 100]:.1f}"


def rate(times: Times) -> float:
    return len(times) / sum(times)


def spent(pids: Sequence[int]) -> float:
    return sum(cpu_of(pid) for pid in pids)


async def filled(path: Path, agent: SpiffeId) -> None:
    store = await open_store(path, clock=SystemClock())
    try:
        await store.write(lambda tx: fill(tx, agent))
    finally:
        await store.close()


def fill(tx: Transaction, agent: SpiffeId) -> None:
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
    tx.entries.create(Entry("bot", ME, agent, (Selector("unix", f"uid:{os.getuid()}"),), principal="bot"))
