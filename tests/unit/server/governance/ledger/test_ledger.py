# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Exports verify whatever was left out at their beginning, and so does what pruning leaves."""

import json
from typing import Any

import pytest

from assay.errors import FailedPreconditionError, UnavailableError
from assay_server.governance.deed import Deed
from assay_server.governance.ledger import Wanted


def numbers_in(lines: list[bytes]) -> list[int]:
    return [record["number"] for record in map(json.loads, lines) if "number" in record]


@pytest.fixture
async def filled(ledger: Any) -> Any:
    """Three hours with five records each, signed at the end of each hour; the first has the key's, too."""
    for hour in range(3):
        await ledger.write(5, principal=f"bot{hour}", task_id=f"tsk_{hour}")
        await ledger.checkpoints.make()
        ledger.clock.advance(3600)
    return ledger


async def test_nothing_is_a_ledger_too(ledger: Any) -> None:
    verdict = ledger.verdict(await ledger.export())
    assert (verdict.whole, verdict.records) == (True, 0)


async def test_all_of_it_is_exported_and_signed_to_the_end(filled: Any) -> None:
    await filled.write(2)
    lines = await filled.export()
    verdict = filled.verdict(lines)
    assert (verdict.whole, verdict.records, verdict.checkpoints) == (True, 18, 4)
    assert numbers_in(lines) == list(range(1, 19))
    assert json.loads(lines[-1]).keys() == {"checkpoint"}


async def test_pages_are_put_together(ledger: Any) -> None:
    await ledger.write(1201)
    assert ledger.verdict(await ledger.export()).records == 1202


async def test_from_a_time_on_it_begins_behind_the_checkpoint_before(filled: Any) -> None:
    lines = await filled.export(since=filled.now - 3600 - 60)
    verdict = filled.verdict(lines)
    assert (verdict.whole, verdict.first, verdict.last) == (True, 12, 16)
    later = filled.verdict(await filled.export(since=filled.now + 60))
    assert (later.whole, later.first, later.records) == (True, 17, 0)
    assert filled.verdict(await filled.export(since=1)).first == 1


async def test_a_part_has_what_was_asked_for_and_says_so(filled: Any) -> None:
    lines = await filled.export(task_id="tsk_1")
    assert numbers_in(lines) == [7, 8, 9, 10, 11]
    verdict = filled.verdict(lines)
    assert (verdict.whole, verdict.fault, verdict.header.part) == (False, None, {"task_id": "tsk_1"})
    assert numbers_in(await filled.export(principal="bot2", since=filled.now + 1)) == []
    records = await filled.book.records(Wanted(principal="bot2"), 12, 2)
    assert [one.number for one in records] == [13, 14]
    assert [one.number for one in await filled.book.records(Wanted(since=filled.now - 3600), 0, 9)] == [
        12,
        13,
        14,
        15,
        16,
    ]


async def test_pruning_leaves_what_verifies_from_a_checkpoint(filled: Any) -> None:
    kept = (await filled.book.checkpoints(0, 10))[0].token
    pruned = await filled.book.prune(filled.now - 3600, Deed("local:0", filled.now))
    assert (pruned.through, pruned.records, pruned.checkpoints) == (11, 11, 1)
    assert await filled.numbers() == [12, 13, 14, 15, 16, 17]
    lines = await filled.export()
    verdict = filled.verdict(lines, kept)
    assert (verdict.whole, verdict.first, verdict.records) == (True, 12, 6)
    told = json.loads(lines[-2])
    assert (told["type"], told["actor"], told["details"]["through"]) == ("ledger.pruned", "local:0", 11)
    assert numbers_in(await filled.export(principal="bot0")) == []


async def test_what_is_not_signed_is_not_pruned(filled: Any) -> None:
    await filled.write(3)
    pruned = await filled.book.prune(filled.now + 60, Deed("local:0", filled.now))
    assert pruned.through == 16
    assert await filled.numbers() == [17, 18, 19, 20]
    with pytest.raises(FailedPreconditionError, match="nothing was pruned"):
        await filled.book.prune(filled.now + 60, Deed("local:0", filled.now))


async def test_where_nothing_is_old_nothing_is_pruned(filled: Any) -> None:
    before = await filled.numbers()
    for at in (1, filled.now - 3 * 3600):
        with pytest.raises(FailedPreconditionError, match="nothing was pruned"):
            await filled.book.prune(at, Deed("local:0", filled.now))
    assert await filled.numbers() == before


async def test_pruning_that_was_cut_short_leaves_what_verifies(filled: Any) -> None:
    """As a kill between two of its transactions does: the anchor is chosen, and some records are gone."""
    await filled.store.write(lambda tx: tx.ledger.forget(11))
    assert filled.verdict(await filled.export()).first == 1
    await filled.store.write(lambda tx: tx.ledger.delete(4))
    verdict = filled.verdict(await filled.export())
    assert (verdict.whole, verdict.first) == (True, 12)
    assert (await filled.book.prune(filled.now + 1, Deed("local:0", filled.now))).records == 12


async def test_an_export_that_pruning_overtakes_says_so(ledger: Any) -> None:
    await ledger.write(1200)
    await ledger.checkpoints.make()
    ledger.clock.advance(60)
    lines = ledger.book.export(Wanted())
    await anext(lines)
    await anext(lines)
    await ledger.book.prune(ledger.now, Deed("local:0", ledger.now))
    with pytest.raises(UnavailableError, match="pruned meanwhile"):
        await anext(lines)
