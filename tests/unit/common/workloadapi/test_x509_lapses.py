"""What X509Source makes of an agent that is away, refuses, errs or renews too late."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from grpc import StatusCode

from assay.errors import InvalidArgumentError, PermissionDeniedError, UnavailableError, UnimplementedError
from assay.spiffeid import TrustDomain
from assay.testing.authority import HOUR, Authority
from assay.testing.clock import START, FakeClock
from assay.testing.wait import until
from assay.workloadapi import (
    MalformedResponseError,
    NoIdentityError,
    NoSuchIdentityError,
    SourceNotReadyError,
    SvidExpiredError,
    X509Source,
)
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.unit.common.workloadapi.conftest import Agent, Responses

OWN, FRIEND = TrustDomain("example.org"), TrustDomain("friend.test")
LONG = 3600.0
V = TypeVar("V")


def begun(work: Coroutine[Any, Any, V]) -> asyncio.Task[V]:
    return asyncio.get_running_loop().create_task(work)


def source(agent: Agent, clock: FakeClock, hint: str | None = None, within: float | None = 30) -> X509Source:
    return X509Source(agent.endpoint, clock=clock, hint=hint, within=within)


@pytest.mark.spec("WAPI-8-c")
async def test_an_identity_that_never_comes_is_named(agent: Agent, clock: FakeClock, response: Responses) -> None:
    agent.says["x509"] = response("/a@x")
    wanted = source(agent, clock, hint="in", within=5)
    opening = begun(wanted.open())
    await until(lambda: wanted.version == 1)
    clock.advance(5)
    with pytest.raises(NoSuchIdentityError, match=r'with the hint "in"; it has spiffe://example.org/a \(hint "x"\)'):
        await opening


@pytest.mark.spec("WEP-6-d")
@pytest.mark.spec("WEP-4-a")
async def test_nobody_listening_is_tried_again_until_the_time_is_over(
    agent: Agent, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await agent.stop()
    monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", agent.endpoint.target)
    absent = X509Source(clock=clock, within=10)
    opening = begun(absent.open())
    await clock.wait_sleepers(2)
    await clock.run(10, step=0.5)
    with pytest.raises(SourceNotReadyError, match=r"nothing usable from the Workload API at unix:.* within 10 s;"):
        await opening
    assert absent.status.failures >= 1
    assert isinstance(absent.status.error, UnavailableError)


@pytest.mark.spec("WAPI-4.2-b")
async def test_a_new_agent_is_followed_and_the_last_good_kept_meanwhile(
    agent: Agent, clock: FakeClock, response: Responses
) -> None:
    agent.says["x509"] = response()
    async with source(agent, clock) as served:
        first = served.svid()
        await agent.stop()
        await clock.wait_sleepers()
        clock.advance(0.1)
        assert served.svid() is first
        assert set(served.bundles()) == {OWN}
        status = served.status
        assert (status.stale_since, status.updated_at, status.stopped) == (START, START, False)
        assert isinstance(status.error, UnavailableError)
        assert served.age(clock.now()) == pytest.approx(0.1)
        agent.says["x509"] = response()
        await agent.start()
        change = begun(served.changed(1))
        while not change.done():
            clock.advance(60)
            await asyncio.sleep(0.01)
        assert served.svid() != first
        assert (served.status.error, served.status.stale_since) == (None, None)


@pytest.mark.spec("WAPI-4.2-b")
async def test_a_stream_that_ends_is_opened_again_at_once_and_then_with_delays(
    agent: Agent, clock: FakeClock, response: Responses
) -> None:
    agent.says["x509"] = response()
    async with source(agent, clock) as served:
        await agent.say("x509", None)
        # The second comes without the clock; it ends like the first, and the third waits.
        await clock.wait_sleepers()
        assert agent.streams["x509"] == 2
        assert served.status.failures == 2
        await agent.say("x509", response())
        clock.advance(LONG)
        await served.changed(1)
        assert agent.streams["x509"] == 3


@pytest.mark.spec("WAPI-5.2.1-h")
@pytest.mark.spec("WAPI-5.2.1-g")
@pytest.mark.spec("WEP-6-f")
async def test_what_the_agent_withdraws_is_not_used_any_more_and_may_come_back(
    agent: Agent, clock: FakeClock, response: Responses
) -> None:
    agent.says["x509"] = response()
    async with source(agent, clock) as served:
        await agent.say("x509", StatusCode.PERMISSION_DENIED)
        assert await served.changed(1) == 2
        with pytest.raises(NoIdentityError, match="no identity for this workload: as scripted"):
            served.svid()
        with pytest.raises(NoIdentityError):
            served.svids()
        assert dict(served.bundles()) == {}
        assert isinstance(served.status.error, PermissionDeniedError)
        await agent.say("x509", response())
        await clock.wait_sleepers()
        clock.advance(LONG)
        assert await served.changed(2) == 3
        assert served.svid().spiffe_id.path == "/web"


@pytest.mark.spec("WEP-6-f")
async def test_an_identity_that_is_made_later_is_picked_up(agent: Agent, clock: FakeClock, response: Responses) -> None:
    agent.says["x509"] = StatusCode.PERMISSION_DENIED
    early = source(agent, clock, within=None)
    opening = begun(early.open())
    await clock.wait_sleepers()
    agent.says["x509"] = response()
    clock.advance(LONG)
    await opening
    assert early.svid().spiffe_id.path == "/web"
    await early.close()


async def test_no_identity_in_time_is_said_as_such(agent: Agent, clock: FakeClock) -> None:
    agent.says["x509"] = StatusCode.PERMISSION_DENIED
    denied = source(agent, clock, within=0.2)
    opening = begun(denied.open())
    await clock.wait_sleepers(2)
    clock.advance(0.2)
    with pytest.raises(NoIdentityError, match="is there an entry") as caught:
        await opening
    assert isinstance(caught.value.__cause__, PermissionDeniedError)


@pytest.mark.spec("WEP-6-b")
@pytest.mark.spec("WEP-6-g")
@pytest.mark.parametrize(
    ("code", "kind"),
    [(StatusCode.INVALID_ARGUMENT, InvalidArgumentError), (StatusCode.UNIMPLEMENTED, UnimplementedError)],
)
async def test_what_no_repetition_changes_is_not_repeated(
    agent: Agent, clock: FakeClock, response: Responses, code: StatusCode, kind: type[Exception]
) -> None:
    agent.says["x509"] = code
    with pytest.raises(kind, match="as scripted"):
        await source(agent, clock).open()
    agent.says["x509"] = response()
    async with source(agent, clock) as served:
        await agent.say("x509", code)
        with pytest.raises(kind, match="as scripted"):
            await served.changed(1)
        assert served.status.stopped
        await clock.run(LONG + 1, step=600)
        assert agent.streams["x509"] == 2
        with pytest.raises(SvidExpiredError, match="as scripted"):
            served.svid()


@pytest.mark.spec("WAPI-4.5-b")
@pytest.mark.parametrize("field", ["spiffe_id", "x509_svid", "x509_svid_key", "bundle", "svids", "rubbish", "not der"])
async def test_a_malformed_message_is_dropped_whole_and_the_stream_goes_on(
    agent: Agent, clock: FakeClock, response: Responses, field: str
) -> None:
    agent.says["x509"] = response()
    async with source(agent, clock) as served:
        first = served.svid()
        bad: pb.X509SVIDResponse | bytes = response("/web", "/bad", federated=Authority("friend.test"))
        match field:
            case "rubbish":
                bad = b"\xff\xff\xff"
            case "svids":
                bad = pb.X509SVIDResponse()
            case "not der":
                bad.federated_bundles["spiffe://friend.test"] = b"\x30\x03abc"  # type: ignore[union-attr]
            case _:
                bad.svids[1].ClearField(field)  # type: ignore[union-attr, arg-type]
        clock.advance(5)
        await agent.say("x509", bad)
        await until(lambda: served.status.error is not None)
        assert isinstance(served.status.error, MalformedResponseError)
        assert (served.svid(), served.version, set(served.bundles())) == (first, 1, {OWN})
        assert served.age(clock.now()) == 5
        assert served.status.stale_since == clock.now()
        await agent.say("x509", response())
        await served.changed(1)
        current = served.status
        assert (current.error, current.stale_since) == (None, None)
        assert agent.streams["x509"] == 1


async def test_an_expired_svid_is_not_handed_out(
    agent: Agent, clock: FakeClock, authority: Authority, response: Responses
) -> None:
    agent.says["x509"] = response(lifetime=HOUR)
    async with source(agent, clock) as served:
        clock.advance(HOUR)
        assert served.svid().spiffe_id.path == "/web"
        clock.advance(1)
        with pytest.raises(SvidExpiredError, match="expired at 2026-01-01T01:00:00Z") as caught:
            served.svid()
        assert caught.value.spiffe_id == authority.id("/web")
        assert (caught.value.expired_at - START).total_seconds() == HOUR
        assert len(served.svids()) == 1
        await agent.say("x509", response(now=clock.now()))
        await served.changed(1)
        assert served.svid().not_after > clock.now().timestamp()
