# ruff: noqa: ANN401 - classes of conftest.py cannot be named here
import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import AssayError, DenialReason, FailedPreconditionError, PermissionDeniedError, UnavailableError
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay_agent.attestation.bootstrap import Attempt
from assay_agent.attestation.bootstrapping import Bootstrapping, Rebootstrap
from assay_agent.client.refusal import UntrustedServerError
from assay_agent.storage.disk import AgentStorage

DELAY = 600.0
AUTO = Rebootstrap("auto", DELAY)
NEVER = "0001-01-01T00:00:00Z"


class Source:
    """Remembers how it was asked."""

    remote = True

    def __init__(self) -> None:
        self.asked: list[Attempt] = []
        self.failing = False

    async def fetch(self, attempt: Attempt) -> tuple[bytes, ...]:
        self.asked.append(attempt)
        if self.failing:
            raise UnavailableError("not now")
        return (b"authority",)


def kept(folder: Path) -> tuple[int, str, int]:
    document = json.loads((folder / "agent-data.json").read_bytes())
    return document["bootstrap_use"], document["bootstrap_start_time"], document["connection_attempts"]


def made(folder: Path, source: Source, clock: FakeClock, rebootstrap: Rebootstrap = AUTO) -> Bootstrapping:
    return Bootstrapping(source, AgentStorage(folder), clock, rebootstrap)


async def test_attempts_are_counted_on_disk_until_one_succeeds(tmp_path: Path) -> None:
    source, clock = Source(), FakeClock()
    source.failing = True
    with pytest.raises(UnavailableError):
        await made(tmp_path, source, clock).fetch()
    start = clock.now()
    clock.advance(5)
    source.failing = False
    bootstrapping = made(tmp_path, source, clock)
    await bootstrapping.fetch()
    assert source.asked == [Attempt(1, start.timestamp(), False), Attempt(2, start.timestamp(), False)]
    assert kept(tmp_path) == (1, start.isoformat().replace("+00:00", "Z"), 2)
    bootstrapping.succeeded()
    assert kept(tmp_path) == (2, NEVER, 0)


async def test_who_knew_its_server_says_so_when_it_asks_again(tmp_path: Path) -> None:
    source, clock = Source(), FakeClock()
    made(tmp_path, source, clock).succeeded()
    await made(tmp_path, source, clock).fetch()
    assert source.asked[0].again


def test_the_bundle_is_given_up_after_the_delay_and_not_before(tmp_path: Path) -> None:
    clock = FakeClock()
    bootstrapping = made(tmp_path, Source(), clock)
    assert not bootstrapping.lost()
    clock.advance(DELAY - 1)
    assert not bootstrapping.lost()
    clock.advance(1)
    assert bootstrapping.lost()


def test_a_restart_does_not_begin_the_wait_anew(tmp_path: Path) -> None:
    clock = FakeClock()
    assert not made(tmp_path, Source(), clock).lost()
    clock.advance(DELAY)
    assert made(tmp_path, Source(), clock).lost()


def test_a_server_that_fits_ends_the_wait(tmp_path: Path) -> None:
    clock = FakeClock()
    bootstrapping = made(tmp_path, Source(), clock)
    bootstrapping.lost()
    clock.advance(DELAY)
    bootstrapping.agreed()
    assert kept(tmp_path) == (2, NEVER, 0)
    assert not bootstrapping.lost()


def test_the_wall_clocks_jumps_do_not_count(tmp_path: Path) -> None:
    clock = FakeClock()
    bootstrapping = made(tmp_path, Source(), clock)
    bootstrapping.lost()
    clock.jump(10 * DELAY)
    assert not bootstrapping.lost()
    clock.jump(-20 * DELAY)
    assert not made(tmp_path, Source(), clock).lost()
    clock.advance(DELAY)
    assert bootstrapping.lost()


def test_a_full_disk_does_not_stop_the_wait(tmp_path: Path) -> None:
    clock = FakeClock()
    bootstrapping = made(tmp_path / "gone", Source(), clock)
    assert not bootstrapping.lost()
    clock.advance(DELAY)
    assert bootstrapping.lost()
    bootstrapping.begin_again()


def test_never_means_never(tmp_path: Path) -> None:
    clock = FakeClock()
    bootstrapping = made(tmp_path, Source(), clock, Rebootstrap("never", 0))
    assert not bootstrapping.lost()
    assert not (tmp_path / "agent-data.json").exists()


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_a_node_that_cannot_attest_again_cannot_start_over(
    mode: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrapping = made(tmp_path, Source(), FakeClock(), Rebootstrap(mode, 0))
    bootstrapping.check(reattestable=True)
    assert bootstrapping.enabled
    if mode == "always":
        with pytest.raises(FailedPreconditionError, match="you have requested rebootstrap support but"):
            bootstrapping.check(reattestable=False)
        return
    bootstrapping.check(reattestable=False)
    assert not bootstrapping.enabled
    assert "is not allowing it. Disabling" in capsys.readouterr().out


@pytest.fixture
async def moved(agent: Any, sim: Any) -> Any:
    """An agent whose server has got other keys since it attested."""
    sim.reattestable = True
    agent.rebootstrap = AUTO
    agent.restart()
    agent.identity.use(await agent.attestation.establish())
    sim.authority = Authority()
    return agent


async def ask(agent: Any) -> None:
    async with agent.rotation.heeding():
        await agent.client.bundle()


async def test_a_server_of_other_keys_is_met_anew_after_the_delay(moved: Any, sim: Any) -> None:
    first = moved.identity.current
    with pytest.raises(UntrustedServerError):
        await ask(moved)
    moved.write_bundle()
    sim.clock.advance(DELAY)
    met: list[bool] = []
    moved.bootstrap.when_known(lambda: met.append(True))
    await ask(moved)
    assert met == [True]
    second = moved.identity.current
    assert (sim.attested, second.slot) == (2, "agent-svid-B")
    assert second is not first
    assert moved.roots() == moved.storage.data.bundle == (sim.authority.root.der,)
    assert moved.storage.data.svid == second.svid.chain
    await ask(moved)


async def test_the_source_has_to_vouch_for_the_new_server(moved: Any, sim: Any) -> None:
    with pytest.raises(UntrustedServerError):
        await ask(moved)
    sim.clock.advance(DELAY)
    with pytest.raises(UntrustedServerError):
        await ask(moved)
    # A crash now leaves nothing to go back to.
    assert (moved.storage.data.svid, moved.storage.data.bundle) == ((), ())
    assert sim.attested == 1
    moved.write_bundle()
    await ask(moved)
    assert sim.attested == 2


async def test_a_crash_while_starting_over_is_taken_up_by_the_next_start(moved: Any, sim: Any) -> None:
    with pytest.raises(UntrustedServerError):
        await ask(moved)
    sim.clock.advance(DELAY)
    with pytest.raises(UntrustedServerError):
        await ask(moved)
    moved.write_bundle()
    moved.restart()
    moved.identity.use(await moved.attestation.establish())
    await ask(moved)
    assert moved.storage.data.bootstrap_start_time == NEVER


async def test_a_new_server_that_denies_the_node_ends_the_agent(moved: Any, sim: Any) -> None:
    with pytest.raises(UntrustedServerError):
        await ask(moved)
    sim.clock.advance(DELAY)
    moved.write_bundle()
    sim.refusals = [PermissionDeniedError("failed to attest: agent is banned")]
    with pytest.raises(PermissionDeniedError, match="agent is banned") as end:
        await ask(moved)
    assert end.value.reason is DenialReason.AGENT_NOT_ATTESTED
    assert moved.storage.data.svid == ()


async def test_a_new_server_that_fails_is_asked_again(moved: Any, sim: Any) -> None:
    with pytest.raises(UntrustedServerError):
        await ask(moved)
    sim.clock.advance(DELAY)
    moved.write_bundle()
    sim.refusals = [UnavailableError("restarting")]
    with pytest.raises(AssayError, match="restarting"):
        await ask(moved)
    await ask(moved)
    assert sim.attested == 2


async def test_without_leave_the_agent_stays_with_what_it_knows(agent: Any, sim: Any) -> None:
    sim.reattestable = True
    agent.identity.use(await agent.attestation.establish())
    known = agent.storage.data
    sim.authority = Authority()
    agent.write_bundle()
    for _ in range(3):
        sim.clock.advance(24 * 3600)
        with pytest.raises(UntrustedServerError):
            await ask(agent)
    assert agent.storage.data == known
