"""JWT-SVIDs kept on the node."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import AssayError, NotFoundError, PermissionDeniedError, UnavailableError, UnimplementedError
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay_agent.cache.jwt import JwtCache, expires_soon
from assay_agent.cache.tokens import RETRY, WORKERS

MakeEntry = Callable[..., Entry]

TTL = 300
MIDDLE = 0.5  # a draw that gives no jitter


@dataclass(frozen=True)
class Token:
    token: str
    issued_at: int
    expires_at: int


@dataclass
class Server:
    """Mints numbered tokens, or fails; holds answers back while `open` is clear."""

    clock: FakeClock
    failure: Exception | None = None
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def new_jwt_svid(self, entry_id: str, audience: Sequence[str]) -> Token:
        self.asked.append((entry_id, tuple(audience)))
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        now = int(self.clock.now().timestamp())
        return Token(f"token {len(self.asked)}", now, now + TTL)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Server:
    server = Server(clock)
    server.open.set()
    return server


@pytest.fixture
def jwts(server: Server, clock: FakeClock) -> JwtCache:
    return JwtCache(server, clock, max_size=3, hit_timeout=0.01, draw=lambda: MIDDLE)


@pytest.fixture
def one(entry: MakeEntry) -> Entry:
    return entry("one", "/one", "uid:1")


@asynccontextmanager
async def running(jwts: JwtCache) -> AsyncIterator[None]:
    """While it renews in the background."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(jwts.run())
        yield
        task.cancel()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_token_is_kept_for_half_its_life_and_then_renewed_while_the_caller_has_it(
    jwts: JwtCache, one: Entry, server: Server, clock: FakeClock
) -> None:
    async with running(jwts):
        first = await jwts.fetch(one, ["b", "a"])
        clock.advance(TTL / 2 - 1)
        assert await jwts.fetch(one, ["b", "a"]) is first
        await settle()
        assert len(server.asked) == 1
        clock.advance(1)
        server.open.clear()
        for _ in range(5):
            assert await jwts.fetch(one, ["b", "a"]) is first
            await settle()
        server.open.set()
        await settle()
        assert (await jwts.fetch(one, ["a", "b"])).token == "token 2"
    assert server.asked == [("one", ("b", "a"))] * 2


async def test_nothing_is_renewed_that_nobody_asks_for(
    jwts: JwtCache, one: Entry, server: Server, clock: FakeClock
) -> None:
    async with running(jwts):
        await jwts.fetch(one, ["a"])
        await clock.run(2 * TTL, step=10)
    assert len(server.asked) == 1


async def test_for_the_last_quarter_the_caller_waits(
    jwts: JwtCache, one: Entry, server: Server, clock: FakeClock
) -> None:
    async with running(jwts):
        first = await jwts.fetch(one, ["a"])
        clock.advance(TTL * 3 / 4 - 1)
        server.open.clear()
        assert await jwts.fetch(one, ["a"]) is first
        clock.advance(1)
        asking = asyncio.gather(jwts.fetch(one, ["a"]))
        await settle()
        assert not asking.done()
        server.open.set()
        assert [jwt.token for jwt in await asking] == ["token 2"]
    assert len(server.asked) == 2


async def test_many_are_renewed_a_few_at_a_time(server: Server, clock: FakeClock, one: Entry) -> None:
    jwts = JwtCache(server, clock, draw=lambda: MIDDLE)
    audiences = [str(number) for number in range(50)]
    async with running(jwts):
        for audience in audiences:
            await jwts.fetch(one, [audience])
        clock.advance(TTL / 2)
        server.open.clear()
        for audience in audiences:
            await jwts.fetch(one, [audience])
        await settle()
        assert len(server.asked) == 50 + WORKERS
        server.open.set()
        for _ in range(20):
            await settle()
        assert len(server.asked) == 100
        assert (await jwts.fetch(one, ["0"])).issued_at == int(clock.now().timestamp())


@pytest.mark.parametrize("failure", [UnavailableError("down"), ZeroDivisionError()])
async def test_what_failed_in_the_background_is_tried_again_after_a_while(
    jwts: JwtCache, one: Entry, server: Server, clock: FakeClock, failure: Exception
) -> None:
    async with running(jwts):
        first = await jwts.fetch(one, ["a"])
        clock.advance(TTL / 2)
        server.failure = failure
        for _ in range(10):
            assert await jwts.fetch(one, ["a"]) is first
            await settle()
        assert len(server.asked) == 2
        clock.advance(RETRY)
        server.failure = None
        assert await jwts.fetch(one, ["a"]) is first
        await settle()
        assert (await jwts.fetch(one, ["a"])).token == "token 3"


async def test_a_refusal_in_the_background_ends_the_kept_token(
    jwts: JwtCache, one: Entry, server: Server, clock: FakeClock
) -> None:
    async with running(jwts):
        await jwts.fetch(one, ["a"])
        clock.advance(TTL / 2)
        server.failure = NotFoundError("no such entry")
        await jwts.fetch(one, ["a"])
        await settle()
        assert len(jwts) == 0
        with pytest.raises(NotFoundError):
            await jwts.fetch(one, ["a"])


@pytest.mark.parametrize(("draw", "soon_from"), [(0.0, 165), (0.5, 150), (0.9999, 135)])
def test_the_draw_moves_the_half_by_a_tenth_either_way(draw: float, soon_from: int) -> None:
    token = Token("", 1000, 1000 + TTL)
    assert not expires_soon(token, 1000 + soon_from - 1, draw)
    assert expires_soon(token, 1000 + soon_from + 0.1, draw)


async def test_every_request_draws_anew(server: Server, clock: FakeClock, one: Entry) -> None:
    draws = iter([0.0, 0.99])
    jwts = JwtCache(server, clock, draw=lambda: next(draws))
    await jwts.fetch(one, ["a"])
    clock.advance(TTL / 2)
    async with running(jwts):
        assert (await jwts.fetch(one, ["a"])).token == "token 1"
        await settle()
        assert len(server.asked) == 1
        await jwts.fetch(one, ["a"])
        await settle()
        assert len(server.asked) == 2


async def test_the_order_of_audiences_does_not_matter_and_their_number_does(
    jwts: JwtCache, one: Entry, server: Server
) -> None:
    await jwts.fetch(one, ["b", "a"])
    assert (await jwts.fetch(one, ["a", "b"])).token == "token 1"
    assert (await jwts.fetch(one, ["a"])).token == "token 2"
    assert (await jwts.fetch(one, ["ab"])).token == "token 3"
    assert server.asked[0] == ("one", ("b", "a"))


async def test_entries_do_not_share_tokens_and_an_entry_with_a_new_id_starts_over(
    jwts: JwtCache, one: Entry, entry: MakeEntry
) -> None:
    await jwts.fetch(one, ["a"])
    assert (await jwts.fetch(replace(one, id="two"), ["a"])).token == "token 2"
    assert (await jwts.fetch(replace(one, spiffe_id=entry("x", "/x").spiffe_id), ["a"])).token == "token 3"


async def test_an_entry_that_wants_a_jti_gets_a_fresh_token_each_time(jwts: JwtCache, one: Entry) -> None:
    unique = replace(one, jwt_svid_include_jti=True)
    assert [(await jwts.fetch(unique, ["a"])).token for _ in range(2)] == ["token 1", "token 2"]
    assert len(jwts) == 0


async def test_the_least_recently_used_goes_first(jwts: JwtCache, one: Entry, server: Server) -> None:
    for audience in ("a", "b", "c", "a", "d"):
        await jwts.fetch(one, [audience])
    assert len(jwts) == 3
    asked = len(server.asked)
    await jwts.fetch(one, ["a"])
    assert len(server.asked) == asked
    await jwts.fetch(one, ["b"])
    assert len(server.asked) == asked + 1


async def test_how_many_are_kept_is_measured(server: Server, clock: FakeClock, one: Entry) -> None:
    metrics = Recorded()
    jwts = JwtCache(server, clock, draw=lambda: MIDDLE, metrics=metrics)
    for audience in ("a", "b", "a"):
        await jwts.fetch(one, [audience])
    clock.advance(TTL)
    server.failure = NotFoundError("entry not found")
    with pytest.raises(NotFoundError), capture_logs():
        await jwts.fetch(one, ["a"])
    assert metrics.taken == [("gauge", "jwt_svid_cache_size", {}, size) for size in (1, 2, 1)]


async def test_a_valid_token_bridges_a_server_that_fails(
    jwts: JwtCache, one: Entry, server: Server, clock: FakeClock
) -> None:
    first = await jwts.fetch(one, ["a"])
    clock.advance(TTL - 1)
    server.failure = UnavailableError("gone fishing")
    with capture_logs() as logs:
        assert await jwts.fetch(one, ["a"]) is first
    assert logs[0]["event"] == "Unable to renew JWT; returning cached copy"
    assert "token 1" not in str(logs)
    clock.advance(1)
    with pytest.raises(UnavailableError, match="gone fishing"):
        await jwts.fetch(one, ["a"])
    assert len(jwts) == 0


async def test_a_valid_token_bridges_a_server_that_does_not_answer(
    jwts: JwtCache, one: Entry, server: Server, clock: FakeClock
) -> None:
    first = await jwts.fetch(one, ["a"])
    clock.advance(TTL - 1)
    server.open.clear()
    assert await jwts.fetch(one, ["a"]) is first


@pytest.mark.parametrize("refusal", [NotFoundError, PermissionDeniedError, UnimplementedError])
async def test_a_refusal_is_not_bridged_and_ends_the_kept_token(
    jwts: JwtCache, one: Entry, server: Server, clock: FakeClock, refusal: type[AssayError]
) -> None:
    await jwts.fetch(one, ["a"])
    clock.advance(TTL - 1)
    server.failure = refusal("no")
    with pytest.raises(refusal):
        await jwts.fetch(one, ["a"])
    assert len(jwts) == 0


async def test_who_asks_for_the_same_at_the_same_time_shares_one_request(
    jwts: JwtCache, one: Entry, server: Server
) -> None:
    server.open.clear()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(jwts.fetch(one, ["a"])) for _ in range(20)]
        await asyncio.sleep(0)
        server.open.set()
    assert {task.result().token for task in tasks} == {"token 1"}
    assert len(server.asked) == 1


async def test_a_shared_request_fails_for_all_and_is_not_repeated_for_each(
    jwts: JwtCache, one: Entry, server: Server
) -> None:
    server.open.clear()
    server.failure = UnavailableError("no")
    asked = asyncio.gather(*(jwts.fetch(one, ["a"]) for _ in range(5)), return_exceptions=True)
    await asyncio.sleep(0)
    server.open.set()
    answers = await asked
    assert [type(answer) for answer in answers] == [UnavailableError] * 5
    assert len(server.asked) == 1


async def test_when_the_one_who_asks_leaves_the_next_asks(jwts: JwtCache, one: Entry, server: Server) -> None:
    server.open.clear()
    async with asyncio.TaskGroup() as group:
        first, second = (group.create_task(jwts.fetch(one, ["a"])) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        server.open.set()
    assert second.result().token == "token 2"
    assert len(server.asked) == 2


async def test_another_servers_tokens_are_of_no_use(jwts: JwtCache, one: Entry) -> None:
    first = await jwts.fetch(one, ["a"])
    jwts.clear()
    assert (await jwts.fetch(one, ["a"])).token != first.token


class Signing(Server):
    """Mints real tokens, with the key of `authority`."""

    def __init__(self, clock: FakeClock, authority: Authority) -> None:
        super().__init__(clock)
        self.authority = authority
        self.open.set()

    async def new_jwt_svid(self, entry_id: str, audience: Sequence[str]) -> Token:
        authority = self.authority
        issued = await super().new_jwt_svid(entry_id, audience)
        return replace(issued, token=authority.jwt_svid("/one", audience, n=len(self.asked)))


def tainting(*authorities: Authority, tainted: bool = True) -> Bundle:
    """A bundle in which the keys of these are tainted, but for the last."""
    keys = [one.bundle.jwt_authorities[0] for one in authorities]
    listed = (*(replace(one, tainted=tainted) for one in keys[:-1]), keys[-1])
    return replace(authorities[0].bundle, jwt_authorities=listed)


@pytest.fixture
def other() -> Authority:
    """The same trust domain with another key."""
    other = Authority()
    other.jwt_key_id = "other"
    return other


@pytest.mark.parametrize("how", ["tainted", "gone"])
async def test_what_a_key_signed_that_is_tainted_or_gone_is_given_out_no_more(
    clock: FakeClock, one: Entry, entry: MakeEntry, other: Authority, how: str
) -> None:
    first, metrics = Authority(), Recorded()
    server = Signing(clock, first)
    jwts = JwtCache(server, clock, draw=lambda: MIDDLE, metrics=metrics)
    jwts.take_bundle(tainting(first, other, tainted=False))
    old = await jwts.fetch(one, ["db"])
    server.authority = other
    second = await jwts.fetch(entry("two", "/two", "uid:1"), ["db"])
    with capture_logs() as logs:
        jwts.take_bundle(tainting(first, other) if how == "tainted" else other.bundle)
        jwts.take_bundle(tainting(first, other) if how == "tainted" else other.bundle)
    assert len(jwts) == 1
    assert await jwts.fetch(one, ["db"]) != old
    assert await jwts.fetch(entry("two", "/two", "uid:1"), ["db"]) == second
    found = [line for line in logs if line["event"].startswith("JWT-SVIDs were removed from the JWT cache because")]
    assert [(one["jwt_authority_key_ids"], one["tainted_jwt_svids"]) for one in found] == [(first.jwt_key_id, 1)]
    assert ("New tainted JWT authorities found" in [line["event"] for line in logs]) is (how == "tainted")
    assert ("sample", "cache_manager.tainted_jwt_svids.workload", {}, 1) in metrics.taken
    assert metrics.counts()["cache_manager.workload.process_tainted_jwt_svids", "OK"] == 1


async def test_what_comes_late_of_such_a_key_is_not_kept(clock: FakeClock, one: Entry, other: Authority) -> None:
    first = Authority()
    server = Signing(clock, first)
    jwts = JwtCache(server, clock, draw=lambda: MIDDLE)
    jwts.take_bundle(tainting(first, other, tainted=False))
    server.open.clear()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(jwts.fetch(one, ["db"]))
        await settle()
        jwts.take_bundle(tainting(first, other))
        server.authority = other
        server.open.set()
    late = asking.result()
    assert len(jwts) == 0
    assert await jwts.fetch(one, ["db"]) != late
    assert len(jwts) == 1


async def test_the_size_can_change_while_it_is_in_use(server: Server, jwts: JwtCache, entry: MakeEntry) -> None:
    for name in "abc":
        await jwts.fetch(entry(name, f"/{name}", "uid:1"), ["db"])
    jwts.use(max_size=1, hit_timeout=1.0)
    assert len(jwts) == 1
    await jwts.fetch(entry("c", "/c", "uid:1"), ["db"])
    assert len(server.asked) == 3
    jwts.use(max_size=2, hit_timeout=1.0)
    await jwts.fetch(entry("a", "/a", "uid:1"), ["db"])
    assert len(jwts) == 2
