"""Who gets a place when there are few."""

import resource
from collections import Counter
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ResourceExhaustedError
from assay.transport.guests import Guest, Guests
from assay.transport.room import PER_CONNECTION, RESERVED, Room


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


def test_callers_and_guests_may_have_fewer_than_half() -> None:
    room, gone = Room(100, per_caller=1, guests=2), list[int]()
    room.enter("a")
    with pytest.raises(ResourceExhaustedError):
        room.enter("a")
    room.enter("b")
    for number in range(3):
        room.welcome(Guest(partial(gone.append, number)))
    assert gone == [0]


def test_a_flood_of_guests_drives_out_its_own() -> None:
    room, gone = Room(10, guests=4), list[str]()
    room.welcome(Guest(partial(gone.append, "quiet"), "quiet"))
    for number in range(20):
        room.welcome(Guest(partial(gone.append, f"flood {number}"), "flood"))
    room.welcome(Guest(partial(gone.append, "late"), "late"))
    assert gone == [f"flood {number}" for number in range(18)]


def test_guests_of_a_proxy_count_for_whom_they_come() -> None:
    room, gone = Room(10, guests=3), list[str]()
    for name in "abc":
        guest = Guest(partial(gone.append, name), "proxy")
        room.welcome(guest)
        room.turned_out(guest, "flood" if name != "a" else "quiet")
    room.welcome(Guest(partial(gone.append, "d"), "proxy"))
    assert gone == ["b"]


PLACES = st.sampled_from("abcd")


@given(st.lists(st.tuples(st.sampled_from(["add", "discard", "move"]), st.integers(0, 30), PLACES), max_size=200))
def test_guests_are_counted_by_whence_they_come(steps: list[tuple[str, int, str]]) -> None:
    """Against the plain way of telling who goes: a list, counted through."""
    guests, known = Guests(), list[Guest]()
    for what, number, whence in steps:
        if what == "add":
            known.append(Guest(lambda: None, whence))
            guests.add(known[-1])
        elif known:
            guest = known[number % len(known)]
            known.remove(guest)
            if what == "discard":
                guests.discard(guest)
                guests.discard(guest)
            else:
                guests.move(guest, whence)
                known.append(guest)
        assert len(guests) == len(known)
        if known:
            counts = Counter(guest.whence for guest in known)
            out = guests.crowded_out()
            assert counts[out.whence] == max(counts.values())
            assert out is next(guest for guest in known if guest.whence == out.whence)


def test_what_one_caller_may_have_can_change() -> None:
    room = Room(100, per_caller=2)
    room.enter("a")
    room.enter("a")
    room.use(3)
    room.enter("a")
    room.use(1)
    with pytest.raises(ResourceExhaustedError):
        room.enter("a")
    room.enter("b")
    room.use(None)
    assert room.share == 50
