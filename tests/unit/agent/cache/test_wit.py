"""WIT-SVIDs kept on the node, each with a key that was made here."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from structlog.testing import capture_logs

from assay.crypto.keys import from_pkix, generate, to_pkix
from assay.entry import Entry
from assay.errors import (
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    UnimplementedError,
)
from assay.keymanager import KeyType
from assay.svid import wit, witkey
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay_agent.cache.wit import Wit, WitCache

TTL = 3600


@dataclass(frozen=True)
class Token:
    token: str
    issued_at: int
    expires_at: int


@dataclass
class Server:
    """Issues for every entry what its ID is the path of, or fails; holds answers back while `open` is clear."""

    clock: FakeClock
    authority: Authority
    failure: AssayError | None = None
    asked: list[tuple[str, bytes, str]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    path: str = ""
    other_key: bool = False

    async def new_wit_svid(self, entry_id: str, public_key: bytes, algorithm: str) -> Token:
        self.asked.append((entry_id, public_key, algorithm))
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        now = int(self.clock.now().timestamp())
        key = to_pkix(generate(KeyType.EC_P256).public_key()) if self.other_key else public_key
        path = self.path or f"/{entry_id}"
        token = self.authority.wit_svid(path, public_key=key, algorithm=algorithm, jti=str(len(self.asked)))
        return Token(token, now, now + TTL)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Server:
    server = Server(clock, Authority(wit=True))
    server.open.set()
    return server


@pytest.fixture
def wits(server: Server, clock: FakeClock) -> WitCache:
    return WitCache(server, clock, max_size=3, hit_timeout=0.01)


def entry(entry_id: str, path: str = "") -> Entry:
    home = Authority()
    return Entry(entry_id, home.id(path or f"/{entry_id}"), home.id("/agent"), ())


ONE = entry("one")


def public_key(wit_: Wit) -> bytes:
    return to_pkix(witkey.parse(wit_.key).public_key())


@pytest.mark.spec("WAPI-7.1-a", "WIT-4-b")
async def test_the_key_is_made_here_and_the_token_is_about_it(wits: WitCache, server: Server) -> None:
    found = await wits.fetch(ONE)
    ((entry_id, sent, algorithm),) = server.asked
    assert (entry_id, sent, algorithm) == ("one", public_key(found), "ES256")
    assert wit.parse(found.token).public_key == sent
    assert json.loads(found.key)["alg"] == "ES256"
    assert await wits.fetch(ONE) is found
    assert len(server.asked) == 1


def test_nothing_of_it_is_shown() -> None:
    assert repr(Wit("TOKEN", "KEY", 1, 2.0)) == "Wit(expires_at=1, renew_at=2.0)"


async def test_a_new_token_comes_with_a_new_key_at_about_half_of_life(
    wits: WitCache, server: Server, clock: FakeClock
) -> None:
    first = await wits.fetch(ONE)
    start = clock.now().timestamp()
    assert start + 0.45 * TTL <= first.renew_at <= start + 0.55 * TTL
    clock.advance(first.renew_at - start - 1)
    assert await wits.fetch(ONE) is first
    clock.advance(1.1)
    second = await wits.fetch(ONE)
    assert public_key(second) != public_key(first)
    assert [one for one, *_ in server.asked] == ["one", "one"]


@pytest.mark.parametrize(
    ("key_type", "algorithm", "kind"),
    [
        (KeyType.EC_P384, "ES384", ec.EllipticCurvePublicKey),
        (KeyType.RSA_2048, "RS256", rsa.RSAPublicKey),
    ],
)
async def test_keys_are_of_the_kind_that_is_configured(
    server: Server, clock: FakeClock, key_type: KeyType, algorithm: str, kind: type
) -> None:
    await WitCache(server, clock, key_type).fetch(ONE)
    ((_, sent, asked),) = server.asked
    assert asked == algorithm
    assert isinstance(from_pkix(sent), kind)


async def test_those_who_ask_together_share_one(wits: WitCache, server: Server) -> None:
    server.open.clear()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(wits.fetch(ONE)) for _ in range(5)]
        await asyncio.sleep(0)
        server.open.set()
    assert len({id(one.result()) for one in asking}) == 1
    assert len(server.asked) == 1


async def test_another_id_of_the_same_entry_is_another_token(wits: WitCache, server: Server) -> None:
    await wits.fetch(ONE)
    server.path = "/renamed"
    found = await wits.fetch(entry("one", "/renamed"))
    assert str(wit.parse(found.token).spiffe_id) == "spiffe://example.org/renamed"


async def test_the_size_is_hard_and_the_least_used_goes(wits: WitCache, server: Server) -> None:
    for name in ("a", "b", "c", "a", "d"):
        await wits.fetch(entry(name))
    assert len(wits) == 3
    asked = len(server.asked)
    for name in ("a", "c", "d"):
        await wits.fetch(entry(name))
    assert len(server.asked) == asked
    await wits.fetch(entry("b"))
    assert len(server.asked) == asked + 1


async def test_a_server_that_does_not_answer_leaves_the_kept_one_while_it_is_valid(
    wits: WitCache, server: Server, clock: FakeClock
) -> None:
    first = await wits.fetch(ONE)
    server.failure = UnavailableError("away")
    clock.advance(TTL - 1)
    with capture_logs() as logs:
        assert await wits.fetch(ONE) is first
    (line,) = logs
    assert (line["event"], line["spiffe_id"]) == (
        "Unable to renew WIT; returning cached copy", "spiffe://example.org/one",
    )  # fmt: skip
    clock.advance(1)
    with pytest.raises(UnavailableError, match="away"):
        await wits.fetch(ONE)


@pytest.mark.parametrize("failure", [NotFoundError("gone"), UnimplementedError("off")])
async def test_a_refusal_is_an_answer(wits: WitCache, server: Server, clock: FakeClock, failure: AssayError) -> None:
    await wits.fetch(ONE)
    clock.advance(TTL * 3 // 4)
    server.failure = failure
    with pytest.raises(type(failure)):
        await wits.fetch(ONE)
    assert len(wits) == 0


Change = Callable[[Server], object]
WRONG: dict[str, tuple[Change, type[AssayError], str]] = {
    "another's": (lambda server: setattr(server, "path", "/other"), FailedPreconditionError, "another SPIFFE ID"),
    "another key's": (lambda server: setattr(server, "other_key", True), InvalidArgumentError, "does not belong"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_token_that_is_not_for_this_key_and_entry_is_not_kept(
    wits: WitCache, server: Server, name: str
) -> None:
    change, error, reason = WRONG[name]
    change(server)
    with pytest.raises(error, match=reason):
        await wits.fetch(ONE)
    assert len(wits) == 0


async def test_what_a_tainted_key_signed_is_given_out_no_more(clock: FakeClock) -> None:
    metrics, first, other = Recorded(), Authority(wit=True), Authority(wit=True)
    other.wit_key_id = "other"
    server = Server(clock, first)
    server.open.set()
    wits = WitCache(server, clock, metrics=metrics)
    wits.take_bundle(first.bundle)
    old = await wits.fetch(ONE)
    server.authority = other
    tainted = replace(first.wit_authority, tainted=True)
    with capture_logs() as logs:
        wits.take_bundle(replace(first.bundle, wit_authorities=(tainted, other.wit_authority)))
    (line,) = logs
    assert line["event"].startswith("WIT-SVIDs were removed from the WIT cache")
    assert (len(wits), wits.trusts(old)) == (0, False)
    new = await wits.fetch(ONE)
    assert wits.trusts(new)
    assert await wits.fetch(ONE) is new
    assert [value for _, name, _, value in metrics.taken if name == "wit_svid_cache_size"] == [1, 0, 1]


async def test_the_kind_of_key_and_the_size_can_change_while_it_is_in_use(clock: FakeClock) -> None:
    server, metrics = Server(clock, Authority(wit=True)), Recorded()
    server.open.set()
    wits = WitCache(server, clock, metrics=metrics)
    await wits.fetch(ONE)
    await wits.fetch(entry("two"))
    wits.use(KeyType.EC_P384, max_size=1)
    assert len(wits) == 1
    await wits.fetch(ONE)
    assert [algorithm for *_, algorithm in server.asked] == ["ES256", "ES256", "ES384"]
    assert metrics.counts()["wit_svid_cache.new_wit_svid", "OK"] == 3
