"""Names of accounts, kept for a while and asked for in threads."""

import asyncio
import threading

import pytest

from assay.testing.clock import FakeClock
from assay_agent.plugins.workloadattestor_names import LIFETIME, MAX_KEPT, Names


class Service:
    """A name service that can be made to hang."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.open = threading.Event()
        self.open.set()
        self.thread = threading.current_thread()
        self.names = {1: "one"}

    def lookup(self, number: int) -> str | None:
        assert threading.current_thread() is not self.thread
        self.asked.append(number)
        self.open.wait(10)
        return self.names.get(number)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_an_answer_is_believed_for_a_while_and_so_is_that_there_is_none(
    service: Service, clock: FakeClock
) -> None:
    names = Names(service.lookup, clock)
    for _ in range(3):
        assert await names.of(1) == "one"
        assert await names.of(2) is None
    assert service.asked == [1, 2]
    service.names = {1: "uno", 2: "due"}
    clock.advance(LIFETIME)
    assert await names.of(1) == "uno"
    assert await names.of(2) == "due"


async def test_a_service_that_hangs_is_asked_once_and_holds_up_nobody_else(service: Service, clock: FakeClock) -> None:
    names = Names(service.lookup, clock)
    service.open.clear()
    async with asyncio.TaskGroup() as group:
        patient = group.create_task(names.of(1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names.of(1), 0.01)
        assert not patient.done()
        service.open.set()
    assert patient.result() == "one"
    assert await names.of(1) == "one"
    assert service.asked == [1]


async def test_made_up_numbers_do_not_fill_the_memory(service: Service, clock: FakeClock) -> None:
    names = Names(service.lookup, clock)
    for number in range(MAX_KEPT + 10):
        await names.of(number)
    assert len(names._kept) <= MAX_KEPT


async def test_a_service_that_fails_is_asked_again(clock: FakeClock) -> None:
    failures = [OSError("no service")]

    def lookup(_number: int) -> str | None:
        if failures:
            raise failures.pop()
        return "one"

    names = Names(lookup, clock)
    with pytest.raises(OSError, match="no service"):
        await names.of(1)
    assert await names.of(1) == "one"
