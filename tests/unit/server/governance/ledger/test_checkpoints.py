# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""When checkpoints are made, by which key, and what they say."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from assay.crypto.keys import generate
from assay.errors import FailedPreconditionError, UnavailableError
from assay.keymanager.base import KeyType, SigningKey
from assay.ledger.checkpoint import CheckpointKeys
from assay.spiffeid import TrustDomain
from assay.svid import compact
from assay_server.governance.checkpoints import RECORDS, SECONDS, Checkpointer, Checkpoints


@asynccontextmanager
async def running(ledger: Any) -> AsyncIterator[None]:
    task = asyncio.ensure_future(Checkpointer(ledger.store, ledger.clock, ledger.checkpoints).run())  # noqa: TID251
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def newest(ledger: Any) -> int:
    found = await ledger.book.checkpoints(0, 1000)
    return found[-1].number if found else 0


async def until(ledger: Any, number: int) -> None:
    while await newest(ledger) != number:  # noqa: ASYNC110 - the store has no event for it
        await asyncio.sleep(0)


async def test_a_checkpoint_says_how_many_there_were_and_in_which_hash_they_end(ledger: Any) -> None:
    await ledger.write(2)
    made = await ledger.checkpoints.make()
    said = CheckpointKeys([ledger.key.public_key()]).verified(made.token)
    # The key is in the ledger before it signs: record 3.
    (key,) = await ledger.store.read(lambda tx: tx.ledger.records(2, 1))
    assert (said.trust_domain, said.count, said.head) == (TrustDomain("example.org"), 3, key.hash)
    assert (said.at, said.incarnation) == (ledger.now, ledger.store.incarnation)
    header, _ = compact.split(made.token)
    (published,) = await ledger.checkpoints.recorded()
    assert published == await ledger.checkpoints.current() == json.loads(key.body)["details"]["jwk"]
    assert (header["typ"], header["alg"], header["kid"]) == ("assay-checkpoint+jwt", "ES256", published["kid"])


async def test_what_is_signed_is_not_signed_again(ledger: Any) -> None:
    assert await ledger.checkpoints.make() is None
    await ledger.write(1)
    first = await ledger.checkpoints.make()
    assert await ledger.checkpoints.make() == first
    await ledger.write(1)
    assert (await ledger.checkpoints.make()).number == first.number + 1


async def test_many_who_want_one_at_once_get_the_same(ledger: Any) -> None:
    await ledger.write(1)
    made = await asyncio.gather(*(ledger.checkpoints.make() for _ in range(8)))
    assert len(set(made)) == 1


async def test_another_key_is_told_of_in_the_ledger(ledger: Any) -> None:
    await ledger.write(1)
    await ledger.checkpoints.make()
    old, ledger.key = ledger.key, generate(KeyType.EC_P256)
    await ledger.write(1)
    assert (await ledger.checkpoints.make()).number == 4
    assert len(await ledger.checkpoints.recorded()) == 2
    lines = await ledger.export()
    assert not ledger.verdict(lines).whole
    ledger.key = old
    assert not ledger.verdict(lines).whole


async def test_time_and_numbers_make_them_and_the_end_does(ledger: Any) -> None:
    async with running(ledger):
        await ledger.clock.wait_sleepers()
        await ledger.write(1)
        assert await newest(ledger) == 0
        ledger.clock.advance(SECONDS)
        await until(ledger, 2)
        await ledger.clock.wait_sleepers()
        await asyncio.gather(*(ledger.store.write(ledger.event()) for _ in range(RECORDS)))
        await until(ledger, RECORDS + 2)
        await ledger.clock.wait_sleepers()
        await ledger.write(1)
        assert await newest(ledger) == RECORDS + 2
    assert await newest(ledger) == RECORDS + 3


async def test_a_key_that_cannot_be_had_is_asked_for_again(ledger: Any) -> None:
    there: list[SigningKey] = []

    async def key() -> SigningKey:
        if not there:
            there.append(ledger.key)
            raise UnavailableError("no key")
        return there[0]

    ledger.checkpoints = Checkpoints(ledger.store, ledger.clock, TrustDomain("example.org"), key)
    await ledger.write(1)
    async with running(ledger):
        await ledger.clock.wait_sleepers()
        assert await newest(ledger) == 0
        ledger.clock.advance(SECONDS)
        await until(ledger, 2)


async def test_a_key_of_another_kind_signs_nothing(ledger: Any) -> None:
    ledger.key = generate(KeyType.EC_P384)
    await ledger.write(1)
    with pytest.raises(FailedPreconditionError, match="P-256"):
        await ledger.checkpoints.make()
