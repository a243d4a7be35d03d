"""Whose connection is set up next, and whose is not even looked at."""

import pytest

from assay.transport.parking import BURST, MOST, RATE, Pace, Parking


def taken(parking: Parking[str]) -> str:
    found = ""
    while parking:
        found += parking.take()[1]
    return found


def test_users_take_turns_and_so_do_the_processes_of_one() -> None:
    parking = Parking[str]()
    for user, process, name in [(1, 1, "a"), (1, 1, "b"), (1, 1, "c"), (1, 2, "d"), (2, 3, "e"), (2, 3, "f")]:
        parking.put((user, process), name)
    assert len(parking) == 6
    assert parking.next_group == 1
    assert taken(parking) == "aedfbc"
    assert parking.next_group is None


def test_of_one_process_only_so_many_wait() -> None:
    parking = Parking[int]()
    for number in range(MOST):
        assert not parking.full((1, 1))
        parking.put((1, 1), number)
    assert parking.full((1, 1))
    assert not parking.full((1, 2))
    assert not parking.full((2, 1))
    parking.take()
    assert not parking.full((1, 1))


def test_a_user_may_bring_many_at_once_and_not_for_long() -> None:
    pace = Pace()
    assert sum(pace.admits(1, 0.0) for _ in range(int(BURST) + 100)) == BURST
    assert pace.admits(2, 0.0)
    assert sum(pace.admits(1, 0.5) for _ in range(int(BURST))) == RATE / 2
    assert sum(pace.admits(1, 60.0) for _ in range(2 * int(BURST))) == BURST


def test_who_came_long_ago_is_not_remembered() -> None:
    pace = Pace()
    for user in range(1024):
        assert pace.admits(user, 0.0)
    assert pace.admits("one more", 10.0)
    assert len(pace._left) == 1


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_user_below_the_pace_never_waits(seconds: float) -> None:
    pace = Pace()
    assert all(pace.admits(1, seconds + number / RATE) for number in range(3 * int(BURST)))
