"""JwtSource: what is asked of the agent, and what is handed out again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from grpc import StatusCode

from assay import authorize
from assay.bundle import jwks
from assay.errors import InvalidArgumentError, UnavailableError
from assay.spiffeid import SpiffeIdError
from assay.svid.jwt import parse
from assay.testing.wait import until
from assay.verify import JwtVerifier
from assay.workloadapi import (
    JwtSource,
    MalformedResponseError,
    NoIdentityError,
    NoSuchIdentityError,
    SourceClosedError,
)
from assay.workloadapi.tokens import MAX_KEPT, Answer, Request, Token, Tokens
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from tests.unit.common.workloadapi.conftest import Agent

    from assay.testing.authority import Authority
    from assay.testing.clock import FakeClock

V = TypeVar("V")
LIFE = 300


def begun(work: Coroutine[Any, Any, V]) -> asyncio.Task[V]:
    return asyncio.get_running_loop().create_task(work)


def answer(
    authority: Authority, *paths: str, audience: tuple[str, ...] = ("db",), at: float = 0, **claims: object
) -> pb.JWTSVIDResponse:
    """Tokens issued `at` seconds after the clock's start; `path@hint` has a hint."""
    issued = int(authority.now.timestamp() + at)
    made = pb.JWTSVIDResponse()
    for path, _, hint in (path.partition("@") for path in paths or ("/web",)):
        token = authority.jwt_svid(path, audience, **{"iat": issued, "exp": issued + LIFE, **claims})  # type: ignore[arg-type]
        made.svids.add(spiffe_id=str(authority.id(path)), svid=token, hint=hint)
    return made


@pytest.fixture
async def source(agent: Agent, clock: FakeClock, authority: Authority) -> AsyncIterator[JwtSource]:
    agent.says["jwt bundles"] = pb.JWTBundlesResponse(
        bundles={str(authority.trust_domain.id): jwks.emit_jwt(authority.bundle)}
    )
    async with JwtSource(agent.endpoint, clock=clock, draw=lambda: 0.5) as source:
        yield source


@pytest.mark.spec("WAPI-6.2.1-a")
@pytest.mark.spec("WAPI-6.2.1-c")
async def test_it_asks_for_what_is_asked_for(agent: Agent, source: JwtSource, authority: Authority) -> None:
    agent.tokens = [answer(authority), answer(authority, "/web", audience=("a", "b"))]
    first = await source.fetch("db")
    assert (first.spiffe_id, first.audience) == (authority.id("/web"), ("db",))
    second = await source.fetch(["a", "b"], "spiffe://example.org/web")
    assert second.audience == ("a", "b")
    assert agent.asked == [
        pb.JWTSVIDRequest(audience=["db"]),
        pb.JWTSVIDRequest(audience=["a", "b"], spiffe_id="spiffe://example.org/web"),
    ]
    assert first.token not in repr((first, source.status, source._tokens._answers))


async def test_it_is_a_source_of_bundles_for_verifiers(
    agent: Agent, source: JwtSource, authority: Authority, clock: FakeClock
) -> None:
    agent.tokens = [answer(authority)]
    svid = await source.fetch("db")
    assert JwtVerifier(source, "db", authorize.any_id(), clock).verify(svid.token).spiffe_id == svid.spiffe_id


@pytest.mark.spec("WAPI-6.2.1-b")
@pytest.mark.spec("WAPI-6.2.1-e")
async def test_of_several_identities_the_first_is_taken_or_that_of_the_hint(
    agent: Agent, source: JwtSource, authority: Authority
) -> None:
    agent.tokens = [answer(authority, "/a", "/b@in", "/c@in")]
    assert (await source.fetch("db")).spiffe_id.path == "/a"
    assert (await source.fetch("db", hint="in")).spiffe_id.path == "/b"
    with pytest.raises(NoSuchIdentityError, match=r'with the hint "out"; it has .*/b \(hint "in"\)'):
        await source.fetch("db", hint="out")
    assert len(agent.asked) == 1


async def test_callers_at_once_share_one_request(agent: Agent, source: JwtSource, authority: Authority) -> None:
    agent.tokens = [answer(authority)]
    agent.gate.clear()
    callers = [begun(source.fetch("db")) for _ in range(50)]
    await until(lambda: bool(agent.asked))
    agent.gate.set()
    tokens = {(await one).token for one in callers}
    assert (len(tokens), len(agent.asked)) == (1, 1)


async def test_a_caller_that_is_cancelled_takes_no_token_from_the_others(
    agent: Agent, source: JwtSource, authority: Authority
) -> None:
    agent.tokens = [answer(authority)]
    agent.gate.clear()
    first, second = begun(source.fetch("db")), begun(source.fetch("db"))
    await until(lambda: bool(agent.asked))
    first.cancel()
    await asyncio.wait({first})
    assert first.cancelled()
    agent.gate.set()
    assert (await second).spiffe_id.path == "/web"
    assert len(agent.asked) == 1


async def test_a_token_is_handed_out_until_half_its_life_is_over_and_then_renewed_behind_the_callers_back(
    agent: Agent, source: JwtSource, authority: Authority, clock: FakeClock
) -> None:
    agent.tokens = [answer(authority)]
    first = await source.fetch("db")
    clock.advance(LIFE / 2 - 1)
    assert await source.fetch("db") is first
    assert len(agent.asked) == 1
    clock.advance(1)
    agent.gate.clear()
    agent.tokens = [answer(authority, at=LIFE / 2)]
    assert await source.fetch("db") is first
    await until(lambda: len(agent.asked) == 2)
    assert await source.fetch("db") is first
    agent.gate.set()
    await until(lambda: not source._requests)
    assert (await source.fetch("db")).expires_at == first.expires_at + LIFE / 2
    assert len(agent.asked) == 2


async def test_a_token_near_its_end_is_not_handed_out(
    agent: Agent, source: JwtSource, authority: Authority, clock: FakeClock
) -> None:
    agent.tokens = [answer(authority), answer(authority, at=LIFE)]
    first = await source.fetch("db")
    clock.advance(LIFE * 0.9)
    second = await source.fetch("db")
    assert second.expires_at > first.expires_at


async def test_a_renewal_that_fails_leaves_the_token_and_is_tried_again_later(
    agent: Agent, source: JwtSource, authority: Authority, clock: FakeClock
) -> None:
    agent.tokens = [answer(authority)]
    first = await source.fetch("db")
    clock.advance(LIFE / 2)
    agent.tokens = [StatusCode.UNAVAILABLE, StatusCode.INTERNAL, answer(authority, at=LIFE / 2)]
    asked = []
    for seconds in (0, 0.4, 0.2, 0.9, 0.2):
        clock.advance(seconds)
        assert await source.fetch("db") is first
        await until(lambda: not source._requests)
        asked.append(len(agent.asked))
    assert asked == [2, 2, 3, 3, 4]
    assert await source.fetch("db") is not first


@pytest.mark.spec("WAPI-6.2.1-f")
async def test_a_withdrawn_identity_ends_its_token(
    agent: Agent, source: JwtSource, authority: Authority, clock: FakeClock
) -> None:
    agent.tokens = [answer(authority), StatusCode.PERMISSION_DENIED, StatusCode.PERMISSION_DENIED]
    await source.fetch("db")
    clock.advance(LIFE / 2)
    await source.fetch("db")
    await until(lambda: not source._requests)
    with pytest.raises(NoIdentityError, match="as scripted"):
        await source.fetch("db")


async def test_an_agent_that_is_away_is_said_as_such_and_asked_again_by_the_next_caller(
    agent: Agent, source: JwtSource, authority: Authority
) -> None:
    agent.tokens = [StatusCode.UNAVAILABLE, answer(authority)]
    with pytest.raises(UnavailableError, match="as scripted"):
        await source.fetch("db")
    assert (await source.fetch("db")).audience == ("db",)


@pytest.mark.spec("WAPI-4.5-b")
@pytest.mark.parametrize(
    ("claims", "fields"),
    [
        ({}, {"svid": "no.token"}),
        ({}, {"svid": ""}),
        ({}, {"spiffe_id": "spiffe://example.org/other"}),
        ({}, {"spiffe_id": ""}),
        ({"aud": ["other"]}, {}),
        ({"sub": "spiffe://example.org/other"}, {}),
        ({"exp": 1}, {}),
        ({"exp": None}, {}),
    ],
)
async def test_an_answer_that_is_not_what_was_asked_for_is_refused(
    agent: Agent, source: JwtSource, authority: Authority, claims: dict[str, Any], fields: dict[str, str]
) -> None:
    bad = answer(authority, **claims)
    for name, value in fields.items():
        setattr(bad.svids[0], name, value)
    agent.tokens = [bad, pb.JWTSVIDResponse(), b"\xff", answer(authority)]
    for _ in range(3):
        with pytest.raises(MalformedResponseError) as caught:
            await source.fetch("db")
        assert not bad.svids[0].svid or bad.svids[0].svid not in str(caught.value)
    assert (await source.fetch("db")).audience == ("db",)


async def test_another_identity_than_the_wanted_one_is_refused(
    agent: Agent, source: JwtSource, authority: Authority
) -> None:
    agent.tokens = [answer(authority, "/other")]
    with pytest.raises(MalformedResponseError, match=r"not of spiffe://example\.org/web"):
        await source.fetch("db", "spiffe://example.org/web")


@pytest.mark.parametrize("audience", ["", [], [""], ["a", ""]])
async def test_without_an_audience_nothing_is_asked(agent: Agent, source: JwtSource, audience: str | list[str]) -> None:
    with pytest.raises(InvalidArgumentError, match="audience must be specified"):
        await source.fetch(audience)
    with pytest.raises(SpiffeIdError):
        await source.fetch("db", "web")
    assert agent.asked == []


async def test_an_agent_that_does_not_answer_is_not_waited_for(agent: Agent, source: JwtSource) -> None:
    agent.gate.clear()
    with pytest.raises(UnavailableError, match="no JWT-SVID from the Workload API within"):
        await source.fetch("db", within=0.01)


async def test_closing_ends_what_is_under_way(agent: Agent, source: JwtSource) -> None:
    agent.gate.clear()
    caller = begun(source.fetch("db"))
    await until(lambda: bool(agent.asked))
    await source.close()
    with pytest.raises(SourceClosedError):
        await caller
    with pytest.raises(SourceClosedError):
        await source.fetch("db")
    assert not source._requests


async def test_a_restarted_agent_is_asked_again(agent: Agent, source: JwtSource, authority: Authority) -> None:
    agent.tokens = [answer(authority)]
    await source.fetch("db")
    await agent.stop()
    with pytest.raises(UnavailableError):
        await source.fetch("cache")
    await agent.start()
    agent.tokens = [answer(authority, audience=("cache",))] * 2
    for _ in range(1000):
        try:
            await source.fetch("cache")
        except UnavailableError:
            await asyncio.sleep(0.01)
        else:
            break
    assert agent.asked[-1].audience == ["cache"]


def test_what_is_kept_is_bounded_and_the_longest_unused_goes(authority: Authority) -> None:
    svid = parse(authority.jwt_svid(lifetime=LIFE))
    now = authority.now.timestamp()
    kept = Tokens()
    requests = [Request((f"{number}",), None) for number in range(MAX_KEPT + 1)]
    for request in requests[:-1]:
        kept.put(request, Answer((Token(svid, ""),), now))
    assert kept.get(requests[0], now)
    kept.put(requests[-1], Answer((Token(svid, ""),), now))
    assert [kept.get(one, now) is not None for one in (requests[0], requests[1], requests[-1])] == [True, False, True]
