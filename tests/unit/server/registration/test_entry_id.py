"""IDs of new entries: UUIDs that nobody can guess, in the order of their making."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from assay_server.registration.entry_id import new_entry_id

NOW = datetime(2030, 1, 2, 3, 4, 5, 678000, UTC)


def test_an_id_is_a_uuid_of_version_7_with_the_milliseconds_in_front() -> None:
    found = UUID(new_entry_id(NOW))
    assert (found.version, found.variant) == (7, RFC_4122)
    assert found.int >> 80 == 1893553445678


def test_ids_of_one_moment_differ_in_every_random_bit() -> None:
    ids = [UUID(new_entry_id(NOW)).int for _ in range(200)]
    assert len(set(ids)) == len(ids)
    ones = zeros = 0
    for each in ids:
        ones |= each
        zeros |= ~each
    random = (((1 << 12) - 1) << 64) | ((1 << 62) - 1)
    assert ones & zeros & ((1 << 80) - 1) == random


def test_later_ids_come_behind_earlier_ones() -> None:
    moments = [NOW + timedelta(milliseconds=step) for step in range(100)]
    ids = [new_entry_id(moment) for moment in moments]
    assert ids == sorted(ids)
