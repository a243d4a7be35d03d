"""Who is next, when callers ask for more than a turn of the loop has room for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from assay.rpc.turns import REST, WHOLE, Turns

if TYPE_CHECKING:
    from collections.abc import Hashable

    from tests.unit.common.rpc.conftest import House


class Order:
    """Who got a share, in order, and in which turn of the loop."""

    def __init__(self) -> None:
        self.turns = Turns(asyncio.get_running_loop())
        self.got: list[tuple[int, Hashable]] = []
        self.number = 0
        self.waiting: list[asyncio.Task[None]] = []

    def ask(self, caller: Hashable, group: Hashable = None, *, whole: bool = False) -> asyncio.Task[None]:
        who = (caller, None) if group is None else (group, caller)

        async def share() -> None:
            turn = self.turns.whole(who) if whole else self.turns.begin(who)
            if turn is not None:
                await turn
            self.got.append((self.number, caller))

        self.waiting.append(asyncio.get_running_loop().create_task(share()))
        return self.waiting[-1]

    async def all(self) -> list[Hashable]:
        while not all(one.done() for one in self.waiting):
            self.number += 1
            await asyncio.sleep(0)
        return [caller for _, caller in self.got]

    def at_once(self) -> list[int]:
        """How many got a share in each turn of the loop."""
        numbers = [number for number, _ in self.got]
        return [numbers.count(number) for number in sorted(set(numbers))]


async def test_nobody_waits_while_there_is_room() -> None:
    turns = Turns(asyncio.get_running_loop())
    assert [turns.begin(("a", 1)) for _ in range(WHOLE)] == [None] * WHOLE
    assert turns.begin(("a", 1)) is not None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert turns.begin(("b", 1)) is None


async def test_a_caller_waits_for_its_own_calls_and_not_for_all_of_anothers() -> None:
    order = Order()
    for _ in range(100):
        order.ask("flood")
    for _ in range(3):
        order.ask("quiet")
    got = await order.all()
    assert max(index for index, caller in enumerate(got) if caller == "quiet") <= WHOLE + 2 * 3
    assert max(order.at_once()) <= WHOLE
    assert got.count("flood") == 100


async def test_a_group_of_callers_gets_no_more_than_a_single_one_and_shares_it_evenly() -> None:
    order = Order()
    for number in range(90):
        order.ask(f"flood {number % 30}", "flood")
    for _ in range(5):
        order.ask("quiet", "others")
    got = await order.all()
    assert max(index for index, caller in enumerate(got) if caller == "quiet") <= WHOLE + 2 * 5
    of_flood = [caller for caller in got[WHOLE:] if caller != "quiet"]
    assert len(set(of_flood[:30])) == 30
    assert len(of_flood) == 90 - WHOLE
    assert not order.turns._waiting


async def test_long_work_has_a_turn_of_the_loop_to_itself_and_goes_round() -> None:
    order = Order()
    for _ in range(3):
        order.ask("flood", whole=True)
    for _ in range(3):
        order.ask("other", whole=True)
        order.ask("quiet")
    got = await order.all()
    assert got == ["flood", "other", "quiet"] * 3
    assert order.at_once() == [1] * len(got)


async def test_who_comes_new_gets_through_several_turns_of_the_loop_before_the_next_piece() -> None:
    order = Order()
    for _ in range(5):
        order.ask("flood", whole=True)

    async def arrive() -> None:
        for _ in range(REST - 1):
            await asyncio.sleep(0)
        order.got.append((order.number, "new"))

    async with asyncio.TaskGroup() as group:
        group.create_task(arrive())
        got = await order.all()
    assert got.index("new") == 1
    assert got.count("flood") == 5


async def test_who_gives_up_takes_nobodys_turn() -> None:
    order = Order()
    for _ in range(3):
        order.ask("flood", whole=True)
    await asyncio.sleep(0)
    for one in order.waiting[:2]:
        one.cancel()
    await asyncio.gather(*order.waiting, return_exceptions=True)
    assert [caller for _, caller in order.got] == ["flood"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not order.turns._armed
    assert not order.turns._waiting


@pytest.mark.parametrize("whole", [False, True])
async def test_calls_of_a_connection_begin_a_few_at_a_time(house: House, whole: bool) -> None:
    """What runs between two turns of the loop is never more than that, whatever one connection sends at once."""
    running, most = 0, 0

    async def behave(request: bytes, context: Any) -> bytes:  # noqa: ANN401 - the context
        nonlocal running, most
        if whole:
            await context.turn()
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return request

    house.behave = behave
    raw = await house.raw()
    for number in range(60):
        raw.call(1 + 2 * number)
        raw.message(b"x", 1 + 2 * number)
    answers = [await raw.answer(1 + 2 * number) for number in range(60)]
    assert all(b"x" in body for _, body in answers)
    assert most <= (2 if whole else 2 * WHOLE)
    raw.close()
