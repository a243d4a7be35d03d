"""All workload attestors at once, each on its own."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from assay.errors import NotFoundError, UnauthenticatedError, UnavailableError
from assay.selector import Selector
from assay.testing.metrics import Recorded
from assay.transport.peer import Process, UnixPeer
from assay_agent.workload.attestor import Attestor


class Plugin:
    """Finds one selector, after a while or never."""

    def __init__(self, name: str, *, after: asyncio.Event | None = None, failure: Exception | None = None) -> None:
        self.name = name
        self.after = after
        self.failure = failure
        self.asked = asyncio.Event()

    async def attest(self, pid: int) -> tuple[Selector, ...]:
        assert pid == os.getpid()
        self.asked.set()
        if self.after is not None:
            await self.after.wait()
        if self.failure is not None:
            raise self.failure
        return (Selector(self.name, "x"),)


@pytest.fixture
def peer() -> Iterator[UnixPeer]:
    process = Process.open(os.getpid())
    yield UnixPeer(os.getpid(), os.getuid(), os.getgid(), process)
    process.close()


async def test_selectors_are_those_of_all_plugins_which_run_at_the_same_time(peer: UnixPeer) -> None:
    gate = asyncio.Event()
    plugins = [Plugin("a", after=gate), Plugin("b", after=gate), Plugin("c")]
    async with asyncio.TaskGroup() as group:
        attesting = group.create_task(Attestor(plugins, own_pid=0).attest(peer))
        for plugin in plugins:
            await plugin.asked.wait()
        gate.set()
    assert attesting.result() == {Selector("a", "x"), Selector("b", "x"), Selector("c", "x")}


@pytest.mark.parametrize("failure", [NotFoundError("no pod"), ValueError("a bug")])
async def test_a_plugin_that_fails_is_logged_and_left_out(peer: UnixPeer, failure: Exception) -> None:
    with capture_logs() as logs:
        found = await Attestor([Plugin("a", failure=failure), Plugin("b")], own_pid=0).attest(peer)
    assert found == {Selector("b", "x")}
    (line,) = [one for one in logs if one["log_level"] == "error"]
    assert (line["event"], line["attestor"], line["pid"]) == ("Workload attestor failed", "a", os.getpid())


async def test_a_plugin_that_hangs_costs_its_own_selectors_only(peer: UnixPeer) -> None:
    attestor = Attestor([Plugin("a", after=asyncio.Event()), Plugin("b")], own_pid=0, deadline=0.01)
    with capture_logs() as logs:
        assert await attestor.attest(peer) == {Selector("b", "x")}
    assert [one["error"] for one in logs if one["log_level"] == "error"] == ["deadline exceeded"]


@pytest.mark.parametrize("number", [1, 2])
async def test_when_all_fail_the_caller_is_not_attested(peer: UnixPeer, number: int) -> None:
    plugins = [Plugin(f"p{count}", failure=NotFoundError("no")) for count in range(number)]
    with pytest.raises(UnavailableError):
        await Attestor(plugins, own_pid=0).attest(peer)


async def test_without_plugins_there_are_no_selectors(peer: UnixPeer) -> None:
    assert await Attestor([], own_pid=0).attest(peer) == frozenset()


async def test_a_process_that_is_gone_is_not_even_looked_at(peer: UnixPeer) -> None:
    peer.process.close()
    plugin = Plugin("a")
    with pytest.raises(UnauthenticatedError, match="original caller"):
        await Attestor([plugin], own_pid=0).attest(peer)
    assert not plugin.asked.is_set()


async def test_a_process_that_goes_while_it_is_looked_at_is_refused(peer: UnixPeer) -> None:
    gate = asyncio.Event()
    plugin = Plugin("a", after=gate)
    attesting = asyncio.gather(Attestor([plugin], own_pid=0).attest(peer))
    await plugin.asked.wait()
    peer.process.close()
    gate.set()
    with pytest.raises(UnauthenticatedError, match="original caller"):
        await attesting


async def test_the_agents_own_calls_leave_no_line(peer: UnixPeer) -> None:
    for own_pid, lines in ((os.getpid(), 0), (0, 1)):
        with capture_logs() as logs:
            await Attestor([Plugin("a")], own_pid=own_pid).attest(peer)
        assert len(logs) == lines


async def test_attestations_are_counted_each_plugin_by_its_name(peer: UnixPeer) -> None:
    metrics = Recorded()
    plugins = [Plugin("a", failure=NotFoundError("no pod")), Plugin("b")]
    with capture_logs():
        await Attestor(plugins, own_pid=0, metrics=metrics).attest(peer)
        with pytest.raises(UnavailableError):
            await Attestor(plugins[:1], own_pid=0, metrics=metrics).attest(peer)
    assert metrics.counts() == {
        ("workload_api.workload_attestor", "NotFound"): 2,
        ("workload_api.workload_attestor", "OK"): 1,
        ("workload_api.workload_attestation", "OK"): 1,
        ("workload_api.workload_attestation", "Unavailable"): 1,
    }
    assert {labels["attestor"] for _, name, labels, _ in metrics.taken if name.endswith("attestor")} == {"a", "b"}
    assert [value for _, name, _, value in metrics.taken if name == "workload_api.discovered_selectors"] == [1]


async def test_plugins_may_change_while_one_is_asked(peer: UnixPeer) -> None:
    gate = asyncio.Event()
    old = Plugin("a", after=gate)
    attestor = Attestor([old], own_pid=0)
    async with asyncio.TaskGroup() as group:
        attesting = group.create_task(attestor.attest(peer))
        await old.asked.wait()
        attestor.use([Plugin("b"), Plugin("c", failure=NotFoundError("no pod"))])
        gate.set()
    assert attesting.result() == {Selector("a", "x")}
    assert await attestor.attest(peer) == {Selector("b", "x")}
    assert [one.name for one in attestor.plugins] == ["b", "c"]
