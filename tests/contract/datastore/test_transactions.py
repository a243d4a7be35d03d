"""What a transaction promises: all or nothing, alone, durable before it is acknowledged."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from assay.entry import Entry
from assay.errors import UnavailableError
from assay_server.datastore.base import EntryFilter, Page, Store, Transaction

ALL = EntryFilter()
EVERY = Page()


def creating(entry: Entry) -> Callable[[Transaction], None]:
    return lambda tx: tx.entries.create(entry)


def _nothing(_: Transaction) -> None:
    return


def _value(_: Transaction) -> str:
    return "value"


async def names(store: Store) -> list[str]:
    return [entry.id for entry in (await store.read(lambda tx: tx.entries.find(ALL, EVERY)))[0]]


async def test_write_returns_what_the_function_returns(store: Store) -> None:
    assert await store.write(_value) == "value"
    assert await store.read(_value) == "value"


async def test_what_a_function_raises_is_raised_and_undoes_it(store: Store, make_entry: Callable[..., Entry]) -> None:
    def fail(tx: Transaction) -> None:
        tx.entries.create(make_entry("gone"))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await store.write(fail)
    assert await names(store) == []


async def test_a_function_that_fails_undoes_itself_alone(store: Store, make_entry: Callable[..., Entry]) -> None:
    def work(tx: Transaction, number: int) -> int:
        tx.entries.create(make_entry(f"e{number}"))
        if number % 2:
            raise KeyError(number)
        return number

    results = await asyncio.gather(*[store.write(partial(work, number=n)) for n in range(20)], return_exceptions=True)
    assert [result for result in results if isinstance(result, int)] == list(range(0, 20, 2))
    assert [result.args for result in results if isinstance(result, KeyError)] == [(n,) for n in range(1, 20, 2)]
    assert await names(store) == [f"e{n}" for n in range(0, 20, 2)]


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, GeneratorExit, asyncio.CancelledError])
async def test_an_exception_that_steers_the_interpreter_does_not_stop_the_writer(
    store: Store, make_entry: Callable[..., Entry], error: type[BaseException]
) -> None:
    def fail(tx: Transaction) -> None:
        tx.entries.create(make_entry("gone"))
        raise error

    with pytest.raises((error, RuntimeError)):
        await store.write(fail)
    await store.write(lambda tx: tx.entries.create(make_entry("next")))
    assert await names(store) == ["next"]


async def test_a_function_sees_those_before_it_in_the_group(store: Store, make_entry: Callable[..., Entry]) -> None:
    results = await asyncio.gather(
        store.write(lambda tx: tx.entries.create(make_entry("first"))),
        store.write(lambda tx: tx.entries.get("first")),
    )
    assert results[1] == make_entry("first")


async def test_a_reader_sees_what_was_acknowledged(store: Store, make_entry: Callable[..., Entry]) -> None:
    for n in range(20):
        await store.write(creating(make_entry(f"e{n}")))
        assert await store.read(lambda tx: tx.entries.count(ALL)) == n + 1
        assert await store.read(lambda tx: tx.changes.latest()) == n + 1


async def test_a_reader_keeps_its_view_while_others_write(store: Store, make_entry: Callable[..., Entry]) -> None:
    await store.write(lambda tx: tx.entries.create(make_entry("before")))
    began, go_on = threading.Event(), threading.Event()

    def read(tx: Transaction) -> tuple[int, int, int]:
        first = tx.entries.count(ALL)
        began.set()
        assert go_on.wait(10)
        return first, tx.entries.count(ALL), tx.changes.latest()

    reading = asyncio.gather(store.read(read))
    await asyncio.to_thread(began.wait)
    await store.write(lambda tx: tx.entries.create(make_entry("after")))
    go_on.set()
    [found] = await reading
    assert found == (1, 1, 1)
    assert await names(store) == ["before", "after"]


async def test_a_long_read_does_not_hold_up_another(store: Store) -> None:
    began, go_on = threading.Event(), threading.Event()

    def long(_: Transaction) -> bool:
        began.set()
        return go_on.wait(10)

    reading = asyncio.gather(store.read(long))
    await asyncio.to_thread(began.wait)
    assert await store.read(lambda tx: tx.entries.count(ALL)) == 0
    go_on.set()
    [found] = await reading
    assert found


async def test_a_read_function_cannot_write(store: Store, make_entry: Callable[..., Entry]) -> None:
    with pytest.raises(TypeError, match="a read function wrote"):
        await store.read(lambda tx: tx.entries.create(make_entry("a")))
    await store.write(lambda tx: tx.entries.create(make_entry("a")))
    assert await store.read(lambda tx: tx.changes.latest()) == 1


async def test_a_cancelled_write_that_has_not_begun_does_not_run(
    store: Store, make_entry: Callable[..., Entry]
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:
        began.set()
        assert go_on.wait(10)

    async with asyncio.TaskGroup() as group:
        group.create_task(store.write(hold))
        await asyncio.to_thread(began.wait)
        cancelled = group.create_task(store.write(lambda tx: tx.entries.create(make_entry("cancelled"))))
        kept = group.create_task(store.write(lambda tx: tx.entries.create(make_entry("kept"))))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
        go_on.set()
    assert cancelled.cancelled()
    assert kept.done()
    assert await names(store) == ["kept"]


async def test_a_write_cancelled_while_it_runs_disturbs_no_other(
    store: Store, make_entry: Callable[..., Entry]
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:
        began.set()
        assert go_on.wait(10)

    async with asyncio.TaskGroup() as group:
        held = group.create_task(store.write(hold))
        other = group.create_task(store.write(lambda tx: tx.entries.create(make_entry("other"))))
        await asyncio.to_thread(began.wait)
        held.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await other
    assert await names(store) == ["other"]


async def test_everything_is_there_after_reopening(
    store: Store, open_again: Callable[..., Awaitable[Store]], make_entry: Callable[..., Entry]
) -> None:
    await asyncio.gather(*[store.write(creating(make_entry(f"e{n}"))) for n in range(300)])
    await store.close()
    assert len(await names(await open_again())) == 300


async def test_close_finishes_what_was_taken_and_refuses_the_rest(
    store: Store, open_again: Callable[..., Awaitable[Store]], make_entry: Callable[..., Entry]
) -> None:
    async with asyncio.TaskGroup() as group:
        taken = [group.create_task(store.write(creating(make_entry(f"e{n}")))) for n in range(200)]
        await asyncio.sleep(0)
        await store.close()
    assert all(task.done() for task in taken)
    with pytest.raises(UnavailableError, match="the datastore is closed"):
        await store.write(_nothing)
    with pytest.raises(UnavailableError, match="the datastore is closed"):
        await store.read(_nothing)
    await store.close()
    assert len(await names(await open_again())) == 200
