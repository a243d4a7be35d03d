"""Who gets a place when there are few."""

import resource
from functools import partial

import pytest

from assay.errors import ResourceExhaustedError
from assay.transport.room import PER_CONNECTION, RESERVED, Guest, Room


def test_one_caller_has_half_of_the_places_and_others_the_rest() -> None:
    room = Room(4)
    room.enter("a")
    room.enter("a")
    with pytest.raises(ResourceExhaustedError, match="too many connections"):
        room.enter("a")
    room.enter("b")
    room.leave("a")
    room.enter("a")


def test_when_all_places_are_taken_only_those_get_in_who_always_do() -> None:
    room = Room(4)
    for who in "aabb":
        room.enter(who)
    with pytest.raises(ResourceExhaustedError):
        room.enter("c")
    room.enter("c", always=True)
    room.leave("c")
    room.leave("b")
    room.enter("c")


def test_the_oldest_guest_goes_for_the_newest() -> None:
    room, gone = Room(4), list[int]()
    guests = [Guest(partial(gone.append, number)) for number in range(4)]
    room.welcome(guests[0])
    room.welcome(guests[1])
    room.part(guests[0])
    room.welcome(guests[2])
    assert gone == []
    room.welcome(guests[3])
    assert gone == [1]
    room.part(guests[1])


def test_guests_take_places_from_callers_and_never_more_than_half() -> None:
    room = Room(4)
    for _ in range(9):
        room.welcome(Guest(lambda: None))
    room.enter("a")
    room.enter("b")
    with pytest.raises(ResourceExhaustedError):
        room.enter("c")


def test_a_caller_at_its_limit_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    room = Room(2)
    room.enter(1000)
    for _ in range(3):
        with pytest.raises(ResourceExhaustedError):
            room.enter(1000)
    (record,) = caplog.records
    assert (record.message, record.levelname) == ("Too many connections", "WARNING")
    assert vars(record)["fields"] == {"caller": "1000", "held": 1}


def test_places_follow_the_limit_of_open_files() -> None:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert Room().most == (files - RESERVED) // PER_CONNECTION
