"""Join tokens: one attestation each, and the alias entry made with one."""

import re

import pytest

from assay.errors import AlreadyExistsError, InvalidArgumentError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import START, FakeClock
from assay_server.attestation.tokens import REMEMBERED, JoinTokens, is_token_alias, spend
from assay_server.datastore.base import EntryFilter, Page
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import JoinToken

NOW = int(START.timestamp())
TD = TrustDomain("example.org")
NODE_ALIAS = SpiffeId.parse("spiffe://example.org/node")
GONE = "failed to attest: join token does not exist or has already been used"


@pytest.fixture
def tokens(store: SqlStore, clock: FakeClock) -> JoinTokens:
    return JoinTokens(store, clock, TD)


async def test_a_token_is_made_up_and_ends(tokens: JoinTokens) -> None:
    token = await tokens.create(60)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", token.value)
    assert token.expires_at == NOW + 60


async def test_a_token_serves_once(tokens: JoinTokens, store: SqlStore) -> None:
    token = await tokens.create(60, "abc")
    assert str(await tokens.check(token.value)) == "spiffe://example.org/spire/agent/join_token/abc"
    await store.write(lambda tx: spend(tx, token.value))
    with pytest.raises(InvalidArgumentError) as refused:
        await tokens.check(token.value)
    assert refused.value.message == GONE
    with pytest.raises(InvalidArgumentError, match=GONE):
        await store.write(lambda tx: spend(tx, token.value))


async def test_a_token_outlives_the_process_that_made_it(store: SqlStore, clock: FakeClock) -> None:
    await JoinTokens(store, clock, TD).create(60, "abc")
    assert str(await JoinTokens(store, clock, TD).check("abc")) == "spiffe://example.org/spire/agent/join_token/abc"


async def test_only_the_newest_tokens_are_kept_in_memory(tokens: JoinTokens) -> None:
    for number in range(REMEMBERED + 1):
        tokens._remember(JoinToken(f"t{number}", NOW))
    assert len(tokens._made) == REMEMBERED
    assert "t0" not in tokens._made


async def test_an_unknown_token_is_refused_in_the_same_words(tokens: JoinTokens) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await tokens.check("never made")
    assert refused.value.message == GONE


async def test_an_expired_token_is_used_up_by_the_attempt(tokens: JoinTokens, clock: FakeClock) -> None:
    await tokens.create(60, "abc")
    clock.advance(60.5)
    with pytest.raises(InvalidArgumentError) as first:
        await tokens.check("abc")
    with pytest.raises(InvalidArgumentError) as second:
        await tokens.check("abc")
    assert (first.value.message, second.value.message) == ("join token expired", GONE)


async def test_a_token_serves_in_its_last_second(tokens: JoinTokens, clock: FakeClock) -> None:
    await tokens.create(60, "abc")
    clock.advance(60)
    await tokens.check("abc")


@pytest.mark.parametrize("ttl", [0, -1, -(2**31)])
async def test_a_token_needs_a_lifetime(tokens: JoinTokens, ttl: int) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^ttl is required, you must provide one$"):
        await tokens.create(ttl)


@pytest.mark.parametrize("value", ["a/b", "a b", ".."])
async def test_a_token_must_fit_into_an_id(tokens: JoinTokens, value: str) -> None:
    with pytest.raises(InvalidArgumentError, match="failed to create join token ID"):
        await tokens.create(60, value)


async def test_two_tokens_cannot_be_the_same(tokens: JoinTokens) -> None:
    await tokens.create(60, "abc")
    with pytest.raises(AlreadyExistsError):
        await tokens.create(60, "abc")


async def test_an_alias_is_an_entry_below_the_agent(tokens: JoinTokens, store: SqlStore) -> None:
    await tokens.create(60, "abc", NODE_ALIAS)
    (entry,), _ = await store.read(lambda tx: tx.entries.find(EntryFilter(), Page()))
    agent = "spiffe://example.org/spire/agent/join_token/abc"
    assert (entry.spiffe_id, str(entry.parent_id)) == (NODE_ALIAS, agent)
    assert entry.selectors == (Selector("spiffe_id", agent),)
    assert (entry.created_at, entry.revision) == (NOW, 0)
    assert is_token_alias(entry, SpiffeId.parse(agent))
    assert not is_token_alias(entry, NODE_ALIAS)


@pytest.mark.parametrize(
    "alias", ["spiffe://other.test/node", "spiffe://example.org/spire/agent/x", "spiffe://example.org"]
)
async def test_an_alias_must_be_a_workloads_id_and_nothing_is_made_otherwise(tokens: JoinTokens, alias: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^invalid agent ID: "):
        await tokens.create(60, "abc", SpiffeId.parse(alias))
    with pytest.raises(InvalidArgumentError, match=GONE):
        await tokens.check("abc")


async def test_a_token_taken_is_taken_also_for_the_alias(tokens: JoinTokens, store: SqlStore) -> None:
    await tokens.create(60, "abc")
    with pytest.raises(AlreadyExistsError):
        await tokens.create(60, "abc", NODE_ALIAS)
    assert await store.read(lambda tx: tx.entries.count(EntryFilter())) == 0
