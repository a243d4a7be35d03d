# ruff: noqa: ANN401 - classes of conftest.py cannot be named here
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from assay.errors import (
    AssayError,
    DenialReason,
    InvalidArgumentError,
    PermissionDeniedError,
    UnavailableError,
)
from assay.testing.authority import Authority

REATTEST = [
    DenialReason.AGENT_EXPIRED,
    DenialReason.AGENT_NOT_ATTESTED,
    DenialReason.AGENT_NOT_ACTIVE,
    DenialReason.AGENT_MUST_REATTEST,
]


def denied(reason: DenialReason) -> PermissionDeniedError:
    return PermissionDeniedError("no", reason=reason)


async def settle(agent: Any) -> None:
    agent.identity.use(await agent.attestation.establish())


@asynccontextmanager
async def running(agent: Any) -> AsyncIterator[asyncio.Task[None]]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(agent.rotation.run())
        await agent.sim.clock.wait_sleepers()
        yield task
        task.cancel()


async def until(agent: Any, task: asyncio.Task[None], moved: Any, seconds: float = 60.0) -> float:
    """Let time go by until `moved()`; how much went by."""
    passed = 0.0
    while not moved() and not task.done():
        agent.sim.clock.advance(seconds)
        passed += seconds
        waiting = asyncio.ensure_future(agent.sim.clock.wait_sleepers())  # noqa: TID251
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    return passed


@pytest.mark.parametrize("reattestable", [True, False])
async def test_the_svid_is_renewed_around_half_its_life(reattestable: bool, agent: Any, sim: Any) -> None:
    sim.reattestable = reattestable
    await settle(agent)
    first = agent.identity.current
    async with running(agent) as task:
        passed = await until(agent, task, lambda: agent.identity.current is not first)
    assert 0.44 * 3600 <= passed <= 0.58 * 3600
    assert (sim.attested, sim.renewed) == ((2, 0) if reattestable else (1, 1))
    renewals = {("node.attest", "OK"): 1} if reattestable else {("agent_svid.rotate", "OK"): 1}
    counts = agent.metrics.counts()
    assert {one: counts.get(one) for one in renewals} == renewals
    assert counts["node.attestor.new_svid", "OK"] == 1
    second = agent.identity.current
    assert second.slot != first.slot
    assert second.key is not first.key
    assert agent.storage.data.svid == second.svid.chain
    assert agent.storage.data.reattestable is reattestable


async def test_the_client_dials_anew_after_a_renewal(agent: Any) -> None:
    await settle(agent)
    first = agent.identity.current
    await agent.client.bundle()
    before = agent.client._connection._current
    async with running(agent) as task:
        await until(agent, task, lambda: agent.identity.current is not first)
    await agent.client.bundle()
    assert agent.client._connection._current is not before


async def test_a_crash_after_the_new_key_leaves_the_old_svid_in_use(agent: Any, sim: Any) -> None:
    await settle(agent)
    first = agent.identity.current
    sim.refusals = [UnavailableError("gone")]
    async with running(agent) as task:
        await until(agent, task, lambda: not sim.refusals)
    agent.restart()
    found = await agent.attestation.establish()
    assert found.svid.chain == first.svid.chain
    assert sim.attested == 1


async def test_a_failed_renewal_is_tried_again_with_a_key_in_the_same_other_slot(
    agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await settle(agent)
    first = agent.identity.current
    sim.refusals = [UnavailableError("gone"), UnavailableError("gone")]
    async with running(agent) as task:
        await until(agent, task, lambda: agent.identity.current is not first)
    assert (first.slot, agent.identity.current.slot) == ("agent-svid-A", "agent-svid-B")
    assert capsys.readouterr().out.count("Could not rotate agent SVID") == 2


async def test_an_svid_that_expired_without_renewal_ends_the_agent(agent: Any, sim: Any) -> None:
    await settle(agent)
    await sim.server.stop()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_failure(agent.rotation.run()))
        await sim.clock.wait_sleepers()
        passed = await until(agent, task, lambda: False)  # type: ignore[arg-type]
    assert isinstance(task.result(), UnavailableError)
    assert task.result().message.startswith("current SVID has already expired and rotate agent SVID failed: ")
    assert passed >= 3600 - 60


async def test_a_node_that_can_attest_again_goes_on_trying_after_expiry(agent: Any, sim: Any) -> None:
    sim.reattestable = True
    await settle(agent)
    first = agent.identity.current
    sim.refusals = [UnavailableError("gone")] * 60
    async with running(agent) as task:
        passed = await until(agent, task, lambda: agent.identity.current is not first, seconds=130)
    assert passed > 3600
    assert sim.attested == 2


@pytest.mark.parametrize("reason", REATTEST)
async def test_who_can_attest_again_does_when_told(
    reason: DenialReason, agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sim.reattestable = True
    await settle(agent)
    first = agent.identity.current
    async with agent.rotation.heeding():
        raise denied(reason)
    assert agent.identity.current is not first
    assert sim.attested == 2
    assert "Agent needs to re-attest; will attempt to re-attest" in capsys.readouterr().out


@pytest.mark.parametrize("reason", REATTEST[:3])
async def test_who_cannot_attest_again_forgets_its_svid_and_ends(
    reason: DenialReason, agent: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await settle(agent)
    with pytest.raises(PermissionDeniedError) as end:
        async with agent.rotation.heeding():
            raise denied(reason)
    assert end.value.reason is reason
    assert agent.storage.data.svid == ()
    assert agent.storage.data.bundle
    assert "Agent needs to re-attest: removing SVID and shutting down" in capsys.readouterr().out


async def test_a_server_that_demands_attestation_is_believed_to_allow_it(agent: Any, sim: Any) -> None:
    await settle(agent)
    sim.refusals = [denied(DenialReason.AGENT_MUST_REATTEST)]
    sim.reattestable = True
    first = agent.identity.current
    async with running(agent) as task:
        await until(agent, task, lambda: agent.identity.current is not first)
    assert (sim.attested, sim.renewed) == (2, 0)


@pytest.mark.parametrize("reattestable", [True, False])
async def test_a_banned_agent_forgets_its_svid_and_ends(
    reattestable: bool, agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sim.reattestable = reattestable
    await settle(agent)
    with pytest.raises(PermissionDeniedError) as end:
        async with agent.rotation.heeding():
            raise denied(DenialReason.AGENT_BANNED)
    assert end.value.reason is DenialReason.AGENT_BANNED
    assert agent.storage.data.svid == ()
    assert sim.attested == 1
    assert "Agent is banned: removing SVID and shutting down" in capsys.readouterr().out


async def test_a_ban_that_renewal_hears_of_ends_the_agent(agent: Any, sim: Any) -> None:
    await settle(agent)
    sim.refusals = [denied(DenialReason.AGENT_BANNED)]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_failure(agent.rotation.run()))
        await sim.clock.wait_sleepers()
        await until(agent, task, lambda: False)  # type: ignore[arg-type]
    assert isinstance(task.result(), PermissionDeniedError)
    assert agent.storage.data.svid == ()


async def test_a_refused_second_attestation_ends_the_agent(
    agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sim.reattestable = True
    await settle(agent)
    sim.refusals = [InvalidArgumentError("certificate is not trusted")]
    with pytest.raises(PermissionDeniedError) as end:
        async with agent.rotation.heeding():
            raise denied(DenialReason.AGENT_NOT_ATTESTED)
    assert end.value.reason is DenialReason.AGENT_NOT_ATTESTED
    assert agent.storage.data.svid == ()
    assert "Agent failed re-attestation; removing SVID and shutting down" in capsys.readouterr().out


async def test_a_server_that_is_away_during_the_second_attestation_is_waited_for(agent: Any, sim: Any) -> None:
    sim.reattestable = True
    await settle(agent)
    sim.refusals = [UnavailableError("restarting")]
    with pytest.raises(UnavailableError):
        async with agent.rotation.heeding():
            raise denied(DenialReason.AGENT_NOT_ATTESTED)
    assert agent.storage.data.svid == agent.identity.current.svid.chain


async def test_a_denial_of_an_svid_no_longer_in_use_is_passed_over(agent: Any, sim: Any) -> None:
    await settle(agent)
    async with agent.rotation.heeding():
        agent.identity.use(await agent.attestation.attest("agent-svid-B", agent.identity.current.key))
        raise denied(DenialReason.AGENT_NOT_ACTIVE)
    assert sim.attested == 2
    assert agent.storage.data.svid


async def test_a_denial_without_reason_goes_on_to_who_asked(agent: Any) -> None:
    await settle(agent)
    with pytest.raises(PermissionDeniedError) as refusal:
        async with agent.rotation.heeding():
            raise PermissionDeniedError("not authorized")
    assert refusal.value.reason is None
    assert agent.storage.data.svid


async def test_other_failures_pass_through(agent: Any) -> None:
    await settle(agent)
    with pytest.raises(UnavailableError):
        async with agent.rotation.heeding():
            raise UnavailableError("gone")


async def test_a_clock_that_jumps_forward_has_the_svid_renewed_within_a_minute(agent: Any, sim: Any) -> None:
    await settle(agent)
    first = agent.identity.current
    async with running(agent) as task:
        sim.clock.jump(0.6 * 3600)
        passed = await until(agent, task, lambda: agent.identity.current is not first, seconds=1)
    assert passed <= 60
    assert (sim.attested, sim.renewed) == (1, 1)


async def test_a_clock_that_jumps_beyond_the_end_has_it_renewed_if_the_server_allows(agent: Any, sim: Any) -> None:
    await settle(agent)
    first = agent.identity.current
    async with running(agent) as task:
        sim.clock.jump(2 * 3600)
        await until(agent, task, lambda: agent.identity.current is not first, seconds=1)
    assert sim.renewed == 1


async def test_a_clock_that_jumps_back_delays_the_renewal_and_no_more(agent: Any, sim: Any) -> None:
    await settle(agent)
    first = agent.identity.current
    async with running(agent) as task:
        sim.clock.jump(-2 * 3600)
        passed = await until(agent, task, lambda: agent.identity.current is not first)
    assert 2 * 3600 + 0.44 * 3600 <= passed <= 2 * 3600 + 0.58 * 3600
    assert (sim.attested, sim.renewed) == (1, 1)


async def test_a_clock_that_was_ahead_and_is_set_right_does_not_leave_the_svid_to_expire(agent: Any, sim: Any) -> None:
    await settle(agent)
    async with running(agent) as task:
        sim.clock.jump(24 * 3600)
        sim.behind = 24 * 3600
        await until(agent, task, lambda: sim.renewed == 2, seconds=1)
        sim.clock.jump(-24 * 3600)
        sim.behind = 0
        passed = await until(agent, task, lambda: sim.renewed == 3)
    assert passed <= 0.58 * 3600


@pytest.mark.parametrize(("left", "pause"), [(100, 5.0), (4, 2.0), (-1000, 5.0)])
async def test_an_svid_that_is_past_its_middle_when_it_comes_is_not_renewed_without_pause(
    left: int, pause: float, agent: Any, sim: Any
) -> None:
    sim.reattestable = True
    await settle(agent)
    sim.behind = sim.lifetime - left
    async with running(agent) as task:
        await until(agent, task, lambda: sim.attested == 2)
        passed = await until(agent, task, lambda: sim.attested == 5, seconds=0.25)
    assert passed == pytest.approx(3 * pause, abs=0.75)


@pytest.mark.parametrize("reattestable", [True, False])
async def test_an_svid_under_a_tainted_authority_is_renewed_at_once(
    reattestable: bool, agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sim.reattestable = reattestable
    await settle(agent)
    first = agent.identity.current
    (old,) = sim.authority.bundle.x509_authorities
    other = Authority()
    tainted = replace(
        sim.authority.bundle, x509_authorities=(replace(old, tainted=True), other.bundle.x509_authorities[0])
    )
    async with running(agent) as task:
        agent.rotation.take_bundle(tainted)
        await until(agent, task, lambda: agent.identity.current is not first, seconds=0)
        assert sim.clock.monotonic() == 0
        agent.rotation.take_bundle(tainted)
    out = capsys.readouterr().out
    assert out.count("Agent SVID is tainted by a root authority, forcing rotation") == 1
    assert out.count("New tainted X.509 authorities found") == 1
    assert agent.roots() == (old.der, other.root.der)


async def test_an_svid_whose_authority_has_left_the_bundle_is_renewed_at_once(
    agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await settle(agent)
    first = agent.identity.current
    (own,) = sim.authority.bundle.x509_authorities
    (other,) = Authority().bundle.x509_authorities
    async with running(agent) as task:
        agent.rotation.take_bundle(replace(sim.authority.bundle, x509_authorities=(own, other)))
        agent.rotation.take_bundle(replace(sim.authority.bundle, x509_authorities=(own,)))
        await sim.clock.run(5)
        assert agent.identity.current is first
        sim.authority = Authority()
        agent.rotation.take_bundle(sim.authority.bundle)
        await until(agent, task, lambda: agent.identity.current is not first, seconds=5)
    assert capsys.readouterr().out.count("Agent SVID is of an authority that has left the bundle") == 1


async def test_an_svid_under_another_authority_than_the_tainted_one_stays(agent: Any, sim: Any) -> None:
    await settle(agent)
    first = agent.identity.current
    (own,) = sim.authority.bundle.x509_authorities
    (other,) = Authority().bundle.x509_authorities
    async with running(agent):
        agent.rotation.take_bundle(replace(sim.authority.bundle, x509_authorities=(own, replace(other, tainted=True))))
        await sim.clock.run(5)
    assert agent.identity.current is first


async def _failure(work: Any) -> AssayError:
    with pytest.raises(AssayError) as failure:
        await work
    return failure.value
