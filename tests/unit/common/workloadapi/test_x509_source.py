"""X509Source against an agent on a real socket. What waits between attempts waits on a fake clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import pytest

from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeIdError, TrustDomain
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.wait import until
from assay.workloadapi import (
    NoSuchIdentityError,
    SourceClosedError,
    X509Source,
)
from assay.workloadapi.x509source import Picker

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.unit.common.workloadapi.conftest import Agent, Responses

OWN, FRIEND = TrustDomain("example.org"), TrustDomain("friend.test")
LONG = 3600.0
V = TypeVar("V")


class Options(TypedDict, total=False):
    hint: str
    spiffe_id: str
    pick: Picker
    within: float | None


def begun(work: Coroutine[Any, Any, V]) -> asyncio.Task[V]:
    return asyncio.get_running_loop().create_task(work)


def source(agent: Agent, clock: FakeClock, **options: Unpack[Options]) -> X509Source:
    return X509Source(agent.endpoint, clock=clock, **options)


async def test_it_serves_the_default_identity_and_every_bundle(
    agent: Agent, clock: FakeClock, authority: Authority, response: Responses
) -> None:
    friend = Authority("friend.test")
    agent.says["x509"] = response("/web", "/db", federated=friend)
    async with source(agent, clock) as served:
        assert served.svid().spiffe_id.path == "/web"
        assert served.svid().key is not None
        assert [one.spiffe_id.path for one in served.svids()] == ["/web", "/db"]
        bundles = served.bundles()
        assert {name: [one.der for one in bundle.x509_authorities] for name, bundle in bundles.items()} == {
            OWN: [authority.root.der],
            FRIEND: [friend.root.der],
        }
        assert served.version == 1
        assert "PRIVATE" not in repr(served.status)
        assert served.svid().key_pkcs8.hex() not in repr(served.status)


@pytest.mark.spec("WAPI-5.2.1-a")
async def test_its_bundles_authenticate_x509_alone(agent: Agent, clock: FakeClock, response: Responses) -> None:
    agent.says["x509"] = response()
    async with source(agent, clock) as served:
        assert served.bundles()[OWN].jwt_authorities == ()
        with pytest.raises(TypeError):
            served.bundles()[OWN] = None  # type: ignore[index]


@pytest.mark.spec("WAPI-4.2-a")
async def test_a_rotated_svid_arrives_without_asking(agent: Agent, clock: FakeClock, response: Responses) -> None:
    agent.says["x509"] = response()
    async with source(agent, clock) as served:
        first = served.svid()
        waiting = asyncio.gather(served.changed(1), served.changed(1))
        clock.advance(60)
        await agent.say("x509", response())
        assert [*await waiting] == [2, 2]
        assert served.svid() != first
        assert served.age(clock.now()) == 0
        assert agent.streams["x509"] == 1


async def test_an_equal_message_is_no_change_but_is_news(agent: Agent, clock: FakeClock, response: Responses) -> None:
    same = response()
    agent.says["x509"] = same
    async with source(agent, clock) as served:
        first = served.svid()
        clock.advance(60)
        assert served.age(clock.now()) == 60
        await agent.say("x509", same)
        await until(lambda: served.age(clock.now()) == 0)
        assert served.version == 1
        assert served.svid() is first


@pytest.mark.spec("WAPI-4.4-a")
@pytest.mark.spec("WAPI-4.4-b")
@pytest.mark.spec("WAPI-4.4-c")
async def test_a_bundle_and_an_svid_that_are_left_out_are_gone(
    agent: Agent, clock: FakeClock, response: Responses
) -> None:
    agent.says["x509"] = response("/web", "/db", federated=Authority("friend.test"))
    async with source(agent, clock, spiffe_id="spiffe://example.org/db") as served:
        assert set(served.bundles()) == {OWN, FRIEND}
        await agent.say("x509", response("/web"))
        await served.changed(1)
        assert set(served.bundles()) == {OWN}
        with pytest.raises(NoSuchIdentityError, match=r"no identity spiffe://example\.org/db; it has spiffe://example"):
            served.svid()


@pytest.mark.spec("WAPI-8-a")
@pytest.mark.spec("WAPI-8-c")
@pytest.mark.spec("WAPI-5.2.1-e")
@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "/a"),
        ({"hint": "in"}, "/b"),
        ({"spiffe_id": "spiffe://example.org/d"}, "/d"),
        ({"spiffe_id": "spiffe://example.org/c", "hint": "in"}, "/c"),
        ({"pick": lambda svids: svids[-1]}, "/d"),
        ({"hint": ""}, "/a"),
    ],
)
async def test_which_identity_is_chosen(
    agent: Agent, clock: FakeClock, response: Responses, options: Options, path: str
) -> None:
    agent.says["x509"] = response("/a", "/b@in", "/c@in", "/d@out")
    async with source(agent, clock, **options) as served:
        assert served.svid().spiffe_id.path == path


async def test_opening_waits_for_the_wanted_identity(agent: Agent, clock: FakeClock, response: Responses) -> None:
    agent.says["x509"] = response("/a")
    wanted = source(agent, clock, hint="in")
    opening = begun(wanted.open())
    await until(lambda: wanted.version == 1)
    assert not opening.done()
    await agent.say("x509", response("/a", "/b@in"))
    await opening
    assert wanted.svid().spiffe_id.path == "/b"
    await wanted.close()


async def test_where_the_agent_is_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPIFFE_ENDPOINT_SOCKET", raising=False)
    with pytest.raises(InvalidArgumentError, match="set SPIFFE_ENDPOINT_SOCKET"):
        X509Source()
    with pytest.raises(InvalidArgumentError, match="scheme"):
        X509Source("/run/api.sock")
    with pytest.raises(SpiffeIdError):
        X509Source("unix:/run/api.sock", spiffe_id="web")


async def test_a_source_that_is_not_open_serves_nothing(agent: Agent, clock: FakeClock, response: Responses) -> None:
    agent.says["x509"] = response()
    served = source(agent, clock)
    for read in (served.svid, served.svids, served.bundles, lambda: served.age(clock.now())):
        with pytest.raises(SourceClosedError):
            read()
    await served.open()
    with pytest.raises(SourceClosedError, match="opened before"):
        await served.open()
    assert served.svid().spiffe_id.path == "/web"
    waiting = begun(served.changed(1))
    await asyncio.sleep(0)
    await served.close()
    with pytest.raises(SourceClosedError):
        await waiting
    await served.close()
    for read in (served.svid, served.svids, served.bundles):
        with pytest.raises(SourceClosedError):
            read()
    with pytest.raises(SourceClosedError):
        await served.changed(1)
    with pytest.raises(SourceClosedError):
        await served.open()


async def test_waiting_for_a_change_may_end_by_itself(agent: Agent, clock: FakeClock, response: Responses) -> None:
    agent.says["x509"] = response()
    async with source(agent, clock) as served:
        assert await served.changed(1, within=0) == 1
        assert await served.changed(0, within=60) == 1


async def test_a_picker_that_fails_fails_the_opening_with_its_own_exception(
    agent: Agent, clock: FakeClock, response: Responses
) -> None:
    agent.says["x509"] = response()

    def pick(_svids: object) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await source(agent, clock, pick=pick).open()
