"""What verifiers on a host are told of credentials, with real processes that are killed meanwhile."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from assay.clock import SystemClock
from assay.errors import AssayError, PermissionDeniedError, UnavailableError
from assay.governed.authority import Access
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.status import EndError
from assay.spiffeid import SpiffeId
from assay.status.view import StatusView
from assay.testing.deployment import Deployment
from assay.wire.service import Exchange
from assay.workloadapi import Endpoint
from assay.workloadapi.tasks import OpenedTask, TaskClient
from assay.workloadapi.wire import METADATA
from assay_proto.status.v1 import status_pb2 as pb

WATCH = pb.DESCRIPTOR.services_by_name["Status"].methods_by_name["Watch"]
READING = [Access("https://crm/mcp", ("crm.read",))]
BOT = SpiffeId.parse("spiffe://example.test/principal/bot")


class Verifier:
    """A verifier's stream, and what it holds by it."""

    def __init__(self, stream: "Exchange[pb.VerifierMessage, pb.StatusMessage]", view: StatusView) -> None:
        self.stream = stream
        self.view = view
        self.snapshots = 0

    async def hear(self) -> None:
        message = await self.stream.read()
        assert message is not None
        self.snapshots += message.update.snapshot
        self.view.apply(message.update, SystemClock().now().timestamp())
        held = pb.Held(position=self.view.position)
        await self.stream.write(pb.VerifierMessage(held=held))

    async def until(self, known: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not known():
                await self.hear()


@asynccontextmanager
async def verifier(deployment: Deployment, view: StatusView | None = None) -> AsyncIterator[Verifier]:
    view = view or StatusView()
    channel = Channel(Endpoint.of_path(deployment.api).connect, max_message=MAX_MESSAGE_BYTES, metadata=METADATA)
    stream: Exchange[pb.VerifierMessage, pb.StatusMessage] = Exchange(channel, WATCH, pb.StatusMessage)
    try:
        async with stream:
            start = pb.Start(position=view.position, incarnation=view.incarnation)
            await stream.write(pb.VerifierMessage(start=start))
            yield Verifier(stream, view)
    finally:
        await channel.close()


async def surely(ask: Callable[[], Awaitable[OpenedTask]]) -> OpenedTask:
    """The answer, once agent and server have found each other again."""
    end = time.monotonic() + 60
    while True:
        try:
            return await ask()
        except (UnavailableError, PermissionDeniedError):
            if time.monotonic() > end:
                raise
        await asyncio.sleep(0.1)


async def issued(deployment: Deployment) -> tuple[OpenedTask, str]:
    """A task and the jti of its token."""
    async with TaskClient(deployment.api) as client:
        task = await surely(lambda: client.open("answer ticket 7", READING, lasting=600))
        return task, (await client.credential(task.id, "https://crm/mcp", jkt="A" * 43)).jti


async def complete(deployment: Deployment, task: OpenedTask) -> None:
    async with TaskClient(deployment.api) as client:
        await client.complete(task.id)


async def test_a_verifier_is_told_what_ended_and_why(governed: Deployment) -> None:
    task, jti = await issued(governed)
    async with verifier(governed) as one:
        await one.until(lambda: one.view.position)
        assert one.view.revoked(jti) is None
        await complete(governed, task)
        await one.until(lambda: one.view.revoked(jti))
    revoked = one.view.revoked(jti)
    assert revoked is not None
    assert (revoked.task_id, revoked.cause) == (task.id, "task_completed")
    assert one.view.allowed_age("consequential_read") == 60


async def test_identities_of_a_suspended_principal_count_no_more_until_it_is_resumed(governed: Deployment) -> None:
    await issued(governed)
    governed.register("/tool")  # who is told does not go with the principal
    admin = ("--socket-path", str(governed.admin))
    async with verifier(governed) as one:
        await one.until(lambda: one.view.position)
        governed.run("principal", "suspend", "bot", "--reason", "odd", *admin)
        await one.until(lambda: one.view.withdrawn(BOT))
        assert one.view.withdrawals()[str(BOT)] == "principal_suspended"
        governed.run("principal", "resume", "bot", *admin)
        await one.until(lambda: not one.view.withdrawn(BOT))


async def test_nothing_is_missed_by_whoever_was_away_while_the_server_was_killed(governed: Deployment) -> None:
    tasks = [await issued(governed) for _ in range(3)]
    async with verifier(governed) as one:
        await one.until(lambda: one.view.position)
        await complete(governed, tasks[0][0])
        governed.stop("server", signal.SIGKILL)
        governed.start_server()
        await surely(lambda: _completed(governed, tasks[1][0]))
        await one.until(lambda: all(one.view.revoked(jti) for _, jti in tasks[:2]))
    assert one.snapshots == 1, "both resumed where they were"
    # The verifier was away, and the agent is another process.
    await complete(governed, tasks[2][0])
    governed.stop("agent", signal.SIGKILL)
    governed.start_agent()
    assert await _told(governed, one.view, tasks[2][1]), "and nothing was missed"


async def test_an_operator_who_revokes_is_told_how_many_verifiers_know(governed: Deployment) -> None:
    task, jti = await issued(governed)
    async with verifier(governed) as one, verifier(governed) as two:
        for each in (one, two):
            await each.until(lambda each=each: each.view.position)  # type: ignore[misc]
        revoke = ("revoke", "--task", task.id, "--reason", "wrong", "--socket-path", str(governed.admin))
        async with asyncio.TaskGroup() as tasks:
            hearing = [tasks.create_task(each.until(lambda each=each: each.view.revoked(jti))) for each in (one, two)]  # type: ignore[misc]
            found = await asyncio.to_thread(governed.run, *revoke)
            await asyncio.gather(*hearing)
    assert "2 of 2 connected verifiers" in found.stdout


async def test_what_a_verifier_reports_is_in_the_tasks_history(governed: Deployment) -> None:
    task, jti = await issued(governed)
    report = pb.Report(kind="tool.use", at=1, jti=jti, task_id=task.id, action="crm.read", outcome="allowed")
    async with verifier(governed) as one:
        await one.until(lambda: one.view.position)
        reports = pb.Reports(reporter="r", first=1, reports=[report])
        await one.stream.write(pb.VerifierMessage(reports=reports))
        async with asyncio.timeout(30):
            while (message := await one.stream.read()) is not None and not message.HasField("taken"):
                pass
    assert message is not None
    assert (message.taken.reporter, message.taken.last) == ("r", 1)


async def test_what_is_held_ages_while_the_server_is_away_and_the_stream_stays(governed: Deployment) -> None:
    await issued(governed)
    async with verifier(governed) as one:
        await one.until(lambda: one.view.position)
        governed.stop("server", signal.SIGKILL)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(6):
                await one.until(lambda: False)
        assert not one.view.fresh("irreversible", SystemClock().now().timestamp())
        assert one.view.fresh("consequential_read", SystemClock().now().timestamp())
        governed.start_server()
        await one.until(lambda: one.view.fresh("irreversible", SystemClock().now().timestamp()))


async def test_who_has_no_identity_is_told_nothing(deployment: Deployment) -> None:
    async with verifier(deployment) as one:
        with pytest.raises(EndError, match="no identity issued"):
            await one.hear()


async def _completed(deployment: Deployment, task: OpenedTask) -> OpenedTask:
    async with TaskClient(deployment.api) as client:
        return await client.complete(task.id)


async def _told(deployment: Deployment, view: StatusView, jti: str) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            async with verifier(deployment, view) as one:
                await one.until(lambda: view.revoked(jti))
                return True
        except (EndError, AssayError):
            await asyncio.sleep(0.1)
    return False
