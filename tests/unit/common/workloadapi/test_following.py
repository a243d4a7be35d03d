"""How streams are followed: the decision by itself, and what broken connections make of it."""

from __future__ import annotations

import asyncio
import gc
import random
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from assay.backoff import Backoff
from assay.errors import (
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from assay.testing.wait import until
from assay.workloadapi import SourceNotReadyError, X509BundleSource
from assay.workloadapi.following import RETRY, retry_delay
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from tests.unit.common.workloadapi.conftest import Agent, Relay

    from assay.testing.authority import Authority
    from assay.testing.clock import FakeClock
    from assay.workloadapi import WorkloadApiClient
    from assay.workloadapi.bundlesource import Bundles
    from assay.workloadapi.client import Refused

V = TypeVar("V")
MINUTE = 60.0
BACKOFF = Backoff(first=1, limit=8, factor=2, jitter=0)


def begun(work: Coroutine[Any, Any, V]) -> asyncio.Task[V]:
    return asyncio.get_running_loop().create_task(work)


def bundles(authority: Authority, certificates: int = 1) -> pb.X509BundlesResponse:
    return pb.X509BundlesResponse(bundles={str(authority.trust_domain.id): authority.root.der * certificates})


def delay(error: AssayError, failures: int, *, brought: bool = False) -> float | None:
    return retry_delay(error, failures, brought=brought, draw=0.5, backoff=BACKOFF)


@pytest.mark.spec("WEP-6-d")
@pytest.mark.spec("WEP-6-f")
@pytest.mark.parametrize(
    "kind",
    [
        UnavailableError,
        PermissionDeniedError,
        ResourceExhaustedError,
        UnauthenticatedError,
        FailedPreconditionError,
    ],
)
def test_what_may_pass_is_tried_again_with_growing_delays(kind: type[AssayError]) -> None:
    assert [delay(kind("no"), failures) for failures in (1, 2, 3, 4, 5)] == [1, 2, 4, 8, 8]


@pytest.mark.spec("WEP-6-b")
@pytest.mark.spec("WEP-6-g")
@pytest.mark.parametrize("kind", [InvalidArgumentError, UnimplementedError])
@pytest.mark.parametrize("brought", [True, False])
def test_what_cannot_pass_is_not(kind: type[AssayError], *, brought: bool) -> None:
    assert delay(kind("no"), 1, brought=brought) is None


@pytest.mark.spec("WAPI-4.2-b")
def test_the_end_of_a_good_stream_is_followed_by_a_new_one_at_once() -> None:
    assert delay(UnavailableError("end"), 1, brought=True) == 0
    assert delay(UnavailableError("end"), 2, brought=True) == 2
    assert delay(PermissionDeniedError("no"), 1, brought=True) == 1


@given(st.integers(2, 10**6), st.floats(0, 1, exclude_max=True))
def test_no_delay_is_longer_than_a_minute_nor_shorter_than_a_quarter_second(failures: int, draw: float) -> None:
    found = retry_delay(UnavailableError("x"), failures, brought=False, draw=draw, backoff=RETRY)
    assert found is not None
    assert 0.25 <= found <= MINUTE


async def test_a_stream_that_stood_long_begins_a_new_row_of_failures(
    agent: Agent, clock: FakeClock, authority: Authority
) -> None:
    agent.says["x509 bundles"] = bundles(authority)
    async with X509BundleSource(agent.endpoint, clock=clock, backoff=BACKOFF, draw=lambda: 0.5) as source:
        await agent.say("x509 bundles", StatusCode.UNAVAILABLE)
        await clock.wait_sleepers()
        assert source.status.failures == 2
        agent.says["x509 bundles"] = bundles(authority)
        clock.advance(2)
        await until(lambda: source.status.error is None)
        clock.advance(MINUTE)
        await agent.say("x509 bundles", StatusCode.UNAVAILABLE)
        await until(lambda: agent.streams["x509 bundles"] == 4)
        await clock.wait_sleepers()
        assert source.status.failures == 2


async def test_an_agent_that_flaps_is_asked_less_and_less_often(
    agent: Agent, clock: FakeClock, authority: Authority
) -> None:
    agent.says["x509 bundles"] = bundles(authority)
    async with X509BundleSource(agent.endpoint, clock=clock, backoff=BACKOFF, draw=lambda: 0.5) as source:
        waits: list[float] = []
        for failures in (2, 3, 4, 5):
            await agent.say("x509 bundles", StatusCode.UNAVAILABLE)
            await until(lambda failures=failures: source.status.failures == failures)  # type: ignore[misc]
            await clock.wait_sleepers()
            agent.says["x509 bundles"] = bundles(authority)
            began = clock.monotonic()
            while clock.sleepers:
                clock.advance(1)
            waits.append(clock.monotonic() - began)
            await until(lambda: source.status.error is None)
        assert waits == [2, 4, 8, 8]


@pytest.mark.parametrize("left", [1, 9, 60, 300, 4000])
async def test_a_response_that_breaks_off_is_no_message(
    agent: Agent, relay: Relay, clock: FakeClock, authority: Authority, left: int
) -> None:
    agent.says["x509 bundles"] = bundles(authority, 100)
    relay.left = left
    source = X509BundleSource(relay.endpoint, clock=clock, within=None)
    opening = begun(source.open())
    await until(lambda: relay.cut > 0)
    await clock.wait_sleepers()
    assert source.version == 0
    assert isinstance(source.status.error, UnavailableError)
    relay.left = 2**40
    clock.advance(MINUTE)
    await opening
    (bundle,) = source.bundles().values()
    assert len(bundle.x509_authorities) == 100
    await source.close()


async def test_a_response_that_comes_byte_by_byte_is_taken(
    agent: Agent, relay: Relay, clock: FakeClock, authority: Authority
) -> None:
    agent.says["x509 bundles"] = bundles(authority)
    relay.piece = 1
    async with X509BundleSource(relay.endpoint, clock=clock) as source:
        assert len(source.bundles()) == 1


async def test_who_is_not_an_agent_at_all_is_unavailable(agent: Agent, clock: FakeClock) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    path = f"{agent.endpoint.target.removeprefix('unix:')}.other"
    async with await asyncio.start_unix_server(talk, path):
        source = X509BundleSource(f"unix:{path}", clock=clock, within=0.2)
        opening = begun(source.open())
        await clock.wait_sleepers(2)
        clock.advance(0.2)
        with pytest.raises(SourceNotReadyError) as caught:
            await opening
    assert isinstance(caught.value.__cause__, UnavailableError)


async def test_an_agent_that_says_nothing_is_not_waited_for_for_ever(agent: Agent, clock: FakeClock) -> None:
    agent.says["x509 bundles"] = pb.X509BundlesResponse()
    async with agent._turn:  # so that it cannot answer
        source = X509BundleSource(agent.endpoint, clock=clock, within=3)
        opening = begun(source.open())
        await until(lambda: agent.open["x509 bundles"] == 1)
        clock.advance(3)
        with pytest.raises(SourceNotReadyError, match="within 3 s; is the agent running"):
            await opening


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 50, 200])
async def test_opening_can_be_cancelled_anywhere_and_nothing_remains(
    agent: Agent, clock: FakeClock, authority: Authority, turns: int
) -> None:
    agent.says["x509 bundles"] = bundles(authority)
    before = asyncio.all_tasks()
    source = X509BundleSource(agent.endpoint, clock=clock)
    opening = begun(source.open())
    for _ in range(turns):
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait({opening})
    await source.close()
    assert {task for task in asyncio.all_tasks() - before if "source" in task.get_name()} == set()
    await until(lambda: agent.open["x509 bundles"] == 0)


async def test_waiting_for_a_change_can_be_cancelled(agent: Agent, clock: FakeClock, authority: Authority) -> None:
    agent.says["x509 bundles"] = bundles(authority)
    async with X509BundleSource(agent.endpoint, clock=clock) as source:
        waiting = [begun(source.changed(1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        await agent.say("x509 bundles", bundles(authority, 2))
        assert [await one for one in waiting[1:]] == [2, 2]


def sockets() -> set[str]:
    return {link for fd in Path("/proc/self/fd").iterdir() if (link := _link(fd)).startswith("socket:")}


def _link(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except OSError:
        return ""


async def test_closing_leaves_no_task_and_no_socket(agent: Agent, clock: FakeClock, authority: Authority) -> None:
    agent.says["x509 bundles"] = bundles(authority)
    async with X509BundleSource(agent.endpoint, clock=clock):
        pass
    await until(lambda: agent.open["x509 bundles"] == 0)
    tasks, before = len(asyncio.all_tasks()), sockets()
    for _ in range(5):
        async with X509BundleSource(agent.endpoint, clock=clock) as source:
            assert source.version == 1
            assert len(sockets()) > len(before)
    gc.collect()
    # The agent's own, on the same loop, take a turn or two longer.
    await until(lambda: len(asyncio.all_tasks()) <= tasks and len(sockets()) <= len(before))


async def test_many_losses_leave_no_socket_behind(agent: Agent, clock: FakeClock, authority: Authority) -> None:
    agent.says["x509 bundles"] = bundles(authority)
    async with X509BundleSource(agent.endpoint, clock=clock, draw=random.random) as source:
        before = len(sockets())
        for number in range(10):
            await agent.say("x509 bundles", None)
            await clock.wait_sleepers()
            agent.says["x509 bundles"] = bundles(authority, number + 2)
            clock.advance(MINUTE)
            await source.changed(number + 1)
        await until(lambda: len(sockets()) <= before)


class Faulty(X509BundleSource):
    """Trips over its first message, as a fault of ours would have it."""

    tripped = False

    async def _watch(self, client: WorkloadApiClient, on_malformed: Refused) -> AsyncGenerator[Bundles]:
        async with aclosing(super()._watch(client, on_malformed)) as values:
            async for value in values:
                if not self.tripped:
                    self.tripped = True
                    raise ZeroDivisionError
                yield value


async def test_a_fault_of_ours_ends_no_following(
    agent: Agent, clock: FakeClock, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    agent.says["x509 bundles"] = bundles(authority)
    source = Faulty(agent.endpoint, clock=clock, within=None)
    opening = begun(source.open())
    await clock.wait_sleepers()
    assert isinstance(source.status.error, UnavailableError)
    assert "ZeroDivisionError" in caplog.text
    clock.advance(MINUTE)
    await opening
    assert source.version == 1
    await source.close()
