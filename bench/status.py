"""From the call that ends a task to the verifier that knows it: server, agent and the stream of the agent's socket.

Real processes, one task after another, with `VERIFIERS` that all listen; told are the median, the 99th percentile and
the slowest of the time until the last of them knows. The floor is a call on the same way that only reads.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import uvloop

from assay.clock import SystemClock
from assay.entry import Entry
from assay.errors import AssayError
from assay.governed.authority import Access
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.status.view import StatusView
from assay.testing.deployment import Deployment
from assay.wire.service import Exchange
from assay.workloadapi import Endpoint
from assay.workloadapi.tasks import OpenedTask, TaskClient
from assay.workloadapi.wire import METADATA
from assay_proto.status.v1 import status_pb2 as pb
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState
from bench.figure import Figure, cpu_of

CRM = "https://crm/mcp"
READING = [Access(CRM, ("crm.read",))]
WATCH = pb.DESCRIPTOR.services_by_name["Status"].methods_by_name["Watch"]
TASKS, VERIFIERS = 300, 4


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="assay-") as name, closing(Deployment(Path(name))) as house:
        house.start()
        registered(house)
        yield uvloop.run(measured(house))


def registered(house: Deployment) -> None:
    """A principal that processes of this user are, written while the server is away."""
    agent = SpiffeId.parse(house.agent_id())
    house.stop("server")
    asyncio.run(filled(house.dir / "server" / "datastore.sqlite3", agent))
    house.start_server()


async def filled(path: Path, agent: SpiffeId) -> None:
    bot = Principal(
        "bot", ActorType.SERVICE, "person:a@b", "x", "prod", "acme", ("tickets",), Risk.LOW, tools=("crm.read",),
        state=PrincipalState.ACTIVE,
    )  # fmt: skip
    selectors = (Selector("unix", f"uid:{os.getuid()}"),)
    entry = Entry("bot", SpiffeId(agent.trust_domain, "/principal/bot"), agent, selectors, principal="bot")
    objects: list[tuple[Any, Any]] = [
        (OWNER, Owner(bot.owner)),
        (RESOURCE, Resource(CRM, "prod", "acme", Sensitivity.INTERNAL)),
        (TOOL, Tool("crm.read", CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)),
        (PRINCIPAL, bot),
    ]

    def write(tx: Transaction) -> None:
        for noun, value in objects:
            tx.governed.put(noun, value)
        tx.entries.create(entry)

    store = await open_store(path, clock=SystemClock())
    await store.write(write)
    await store.close()


class Verifier:
    """Holds what it is told and says so."""

    def __init__(self, stream: "Exchange[pb.VerifierMessage, pb.StatusMessage]") -> None:
        self._stream = stream
        self.view = StatusView()

    async def hear(self) -> None:
        message = await self._stream.read()
        assert message is not None, "the stream ended"
        self.view.apply(message.update, SystemClock().now().timestamp())
        await self._stream.write(pb.VerifierMessage(held=pb.Held(position=self.view.position)))

    async def knows(self, jti: str) -> float:
        """When it knew."""
        while self.view.revoked(jti) is None:
            await self.hear()
        return time.perf_counter()


@asynccontextmanager
async def listening(house: Deployment) -> AsyncIterator[Verifier]:
    channel = Channel(Endpoint.of_path(house.api).connect, max_message=MAX_MESSAGE_BYTES, metadata=METADATA)
    stream: Exchange[pb.VerifierMessage, pb.StatusMessage] = Exchange(channel, WATCH, pb.StatusMessage)
    async with stream:
        await stream.write(pb.VerifierMessage(start=pb.Start()))
        yield Verifier(stream)
    await channel.close()


async def measured(house: Deployment) -> Figure:
    pids = [house.processes[daemon].pid for daemon in ("server", "agent")]
    async with TaskClient(house.api) as client:
        await opened(client)
        async with AsyncExitStack() as stack:
            verifiers = [await stack.enter_async_context(listening(house)) for _ in range(VERIFIERS)]
            for each in verifiers:
                await each.hear()
            times: list[float] = []
            used = 0.0
            for _ in range(TASKS):
                task = await opened(client)
                jti = (await client.credential(task.id, CRM, jkt="A" * 43)).jti
                cpu, start = sum(map(cpu_of, pids)), time.perf_counter()
                async with asyncio.TaskGroup() as group:
                    known = [group.create_task(each.knows(jti)) for each in verifiers]
                    await client.complete(task.id)
                times.append(max(one.result() for one in known) - start)
                used += sum(map(cpu_of, pids)) - cpu
            times.sort()
            floor = await reading(client, pids)
    middle, late, last = (1000 * at for at in (times[TASKS // 2], times[TASKS * 99 // 100], times[-1]))
    title = f"revoked, {VERIFIERS} know: {middle:.1f} ms, p99 {late:.1f}, max {last:.1f}"
    return Figure(title, TASKS / sum(times), 1e6 * used / TASKS, "a call that reads", floor)


async def opened(client: TaskClient) -> OpenedTask:
    """A task, once the agent has heard of the principal."""
    end = time.monotonic() + 60
    while True:
        try:
            return await client.open("answer", READING, lasting=600)
        except AssayError:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(0.1)


async def reading(client: TaskClient, pids: list[int]) -> float:
    """µs of both daemons' CPU for a call that only reads."""
    task = await opened(client)
    cpu = sum(map(cpu_of, pids))
    for _ in range(TASKS):
        await client.get(task.id)
    return 1e6 * (sum(map(cpu_of, pids)) - cpu) / TASKS
