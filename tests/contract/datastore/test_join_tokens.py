"""What every store does with join tokens."""

import asyncio
from functools import partial

import pytest

from assay.errors import AlreadyExistsError
from assay_server.datastore.base import Store, Transaction
from assay_server.model import JoinToken

TOKEN = JoinToken("secret", 100)


def _create(tx: Transaction, token: JoinToken) -> None:
    tx.join_tokens.create(token)


async def test_a_token_serves_once(store: Store) -> None:
    await store.write(lambda tx: tx.join_tokens.create(TOKEN))
    assert await store.write(lambda tx: tx.join_tokens.take("secret")) == TOKEN
    assert await store.write(lambda tx: tx.join_tokens.take("secret")) is None


async def test_a_token_that_is_looked_at_stays(store: Store) -> None:
    await store.write(lambda tx: tx.join_tokens.create(TOKEN))
    assert await store.read(lambda tx: tx.join_tokens.get("secret")) == TOKEN
    assert await store.read(lambda tx: tx.join_tokens.get("none")) is None
    assert await store.write(lambda tx: tx.join_tokens.take("secret")) == TOKEN


async def test_a_token_serves_one_of_many_who_come_at_once(store: Store) -> None:
    await store.write(lambda tx: tx.join_tokens.create(TOKEN))
    taken = await asyncio.gather(*[store.write(lambda tx: tx.join_tokens.take("secret")) for _ in range(20)])
    assert sorted(taken, key=bool) == [*[None] * 19, TOKEN]


async def test_a_token_is_put_back_when_the_function_fails(store: Store) -> None:
    await store.write(lambda tx: tx.join_tokens.create(TOKEN))

    def fail(tx: Transaction) -> None:
        tx.join_tokens.take("secret")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(fail)
    assert await store.write(lambda tx: tx.join_tokens.take("secret")) == TOKEN


async def test_a_token_exists_only_once(store: Store) -> None:
    await store.write(lambda tx: tx.join_tokens.create(TOKEN))
    with pytest.raises(AlreadyExistsError, match="join token already exists"):
        await store.write(lambda tx: tx.join_tokens.create(JoinToken("secret", 200)))
    assert await store.write(lambda tx: tx.join_tokens.take("secret")) == TOKEN


async def test_prune_removes_those_that_expired_before(store: Store) -> None:
    for at in (99, 100, 101):
        await store.write(partial(_create, token=JoinToken(f"at{at}", at)))
    assert await store.write(lambda tx: tx.join_tokens.prune(100)) == 1
    assert await store.write(lambda tx: tx.join_tokens.take("at99")) is None
    assert await store.write(lambda tx: tx.join_tokens.take("at100")) == JoinToken("at100", 100)


async def test_tokens_are_no_change_that_agents_see(store: Store) -> None:
    await store.write(lambda tx: tx.join_tokens.create(TOKEN))
    assert await store.read(lambda tx: tx.changes.latest()) == 0
