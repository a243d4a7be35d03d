"""When authorities change places."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_server.ca.slots import (
    Action,
    Step,
    activate,
    activation_time,
    plan,
    preparation_time,
    put,
)
from assay_server.model import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot
from assay_server.model.lifetime import DAY, safe_ttl

ACTIVE, PREPARED, OLD = AuthorityStatus.ACTIVE, AuthorityStatus.PREPARED, AuthorityStatus.OLD
A, B = Slot.A, Slot.B


def record(slot: Slot, status: AuthorityStatus, issued_at: int = 0, lifetime: int = DAY) -> AuthorityRecord:
    name = f"{slot.value}{issued_at}"
    return AuthorityRecord(
        AuthorityKind.X509, slot, status, f"key-{slot.value}", name, issued_at, issued_at + lifetime, b""
    )


def steps(*actions: tuple[Step, Slot]) -> list[Action]:
    return [Action(step, slot) for step, slot in actions]


def test_at_first_one_is_prepared_and_activated() -> None:
    assert plan(0, []) == steps((Step.PREPARE, A), (Step.ACTIVATE, A))


def test_one_that_was_prepared_and_never_activated_is_activated() -> None:
    assert plan(0, [record(A, PREPARED)]) == steps((Step.ACTIVATE, A))


@pytest.mark.parametrize(
    ("now", "prepares"), [(0, False), (DAY // 2 - 1, False), (DAY // 2, True), (DAY * 5 // 6, True), (DAY - 1, True)]
)
def test_the_next_is_prepared_at_half_of_life(now: int, prepares: bool) -> None:
    assert plan(now, [record(A, ACTIVE)]) == (steps((Step.PREPARE, B)) if prepares else [])


@pytest.mark.parametrize(("now", "activates"), [(DAY // 2, False), (DAY * 5 // 6 - 1, False), (DAY * 5 // 6, True)])
def test_the_next_is_activated_at_five_sixths_of_life(now: int, activates: bool) -> None:
    records = [record(A, ACTIVE), record(B, PREPARED, DAY // 2)]
    assert plan(now, records) == (steps((Step.ACTIVATE, B)) if activates else [])


@pytest.mark.parametrize(
    ("lifetime", "prepare", "activate_next"),
    [
        (DAY, DAY // 2, DAY // 6),
        (42 * DAY, 21 * DAY, 7 * DAY),
        (60 * DAY, 30 * DAY, 7 * DAY),
        (3650 * DAY, 30 * DAY, 7 * DAY),
    ],
)
def test_long_lives_end_with_fixed_terms(lifetime: int, prepare: int, activate_next: int) -> None:
    authority = record(A, ACTIVE, lifetime=lifetime)
    assert preparation_time(authority) == lifetime - prepare
    assert activation_time(authority) == lifetime - activate_next
    assert safe_ttl(lifetime) == activate_next


def test_an_old_ones_slot_is_used_again() -> None:
    records = [record(A, OLD), record(B, ACTIVE, DAY // 2)]
    assert plan(DAY, records) == steps((Step.PREPARE, A))


def test_an_expired_one_does_not_count() -> None:
    assert plan(DAY, [record(A, ACTIVE)]) == steps((Step.PREPARE, A), (Step.ACTIVATE, A))
    assert plan(DAY, [record(A, ACTIVE), record(B, PREPARED, 1)]) == steps((Step.ACTIVATE, B))


def test_one_that_lost_its_key_is_replaced_at_once() -> None:
    # The active one, in A, is not among the usable.
    assert plan(1, [record(B, OLD)]) == steps((Step.PREPARE, A), (Step.ACTIVATE, A))
    assert plan(1, [record(A, OLD)]) == steps((Step.PREPARE, B), (Step.ACTIVATE, B))
    assert plan(1, [record(B, PREPARED)]) == steps((Step.ACTIVATE, B))


def test_activation_leaves_one_active() -> None:
    records = [record(A, ACTIVE), record(B, PREPARED)]
    assert [one.status for one in activate(records, B)] == [OLD, ACTIVE]
    assert [one.status for one in activate([record(A, ACTIVE), record(B, ACTIVE)], A)] == [ACTIVE, OLD]


def test_a_record_takes_its_slots_place() -> None:
    records = [record(A, OLD), record(B, ACTIVE)]
    prepared = record(A, PREPARED, DAY)
    assert put(records, prepared) == [records[1], prepared]
    assert put([], prepared) == [prepared]


class World:
    """A CA that follows the plan, tick by tick, and checks at every step what must always hold."""

    def __init__(self, lifetime: int) -> None:
        self.lifetime = lifetime
        self.now = 0
        self.records: list[AuthorityRecord] = []
        self.lost: set[str] = set()
        self.published: dict[str, int] = {}  # authority -> since when

    def usable(self) -> list[AuthorityRecord]:
        return [one for one in self.records if one.authority_id not in self.lost]

    def tick(self, crash_after: int | None = None) -> None:
        for done, action in enumerate(plan(self.now, self.usable())):
            if crash_after == done:
                return
            self.follow(action)

    def follow(self, action: Action) -> None:
        living = [one for one in self.usable() if one.not_after > self.now]
        active = [one for one in living if one.status is ACTIVE]
        prepared = [one for one in living if one.status is PREPARED]
        if action.step is Step.PREPARE:
            assert not any(one.slot is action.slot for one in (*active, *prepared)), "a key in use was overwritten"
            new = replace(record(action.slot, PREPARED, self.now, self.lifetime))
            new = replace(new, authority_id=f"{new.authority_id}-{len(self.published)}")
            self.records = put(self.records, new)
            self.published[new.authority_id] = self.now
            return
        (chosen,) = [one for one in living if one.slot is action.slot]
        assert chosen.authority_id in self.published, "signs before it is published"
        if active:
            assert self.published[chosen.authority_id] < self.now, "signs before anybody could know it"
        self.records = activate(self.records, action.slot)

    def check(self) -> None:
        active = [one for one in self.usable() if one.status is ACTIVE and one.not_after > self.now]
        assert len(active) == 1, "not exactly one active authority"
        assert len({one.slot for one in self.records}) == len(self.records) <= 2


@settings(max_examples=100)
@given(st.integers(60, 400 * DAY), st.randoms(use_true_random=False))
@pytest.mark.spec("FED-4.1-b")
def test_there_is_always_one_active_and_none_signs_unpublished(lifetime: int, chance: random.Random) -> None:
    world = World(lifetime)
    for _ in range(40):
        kind = chance.random()
        if kind < 0.1:  # crash between two steps of a plan, then a restart
            world.tick(crash_after=chance.randrange(2))
        elif kind < 0.15 and world.records:  # the key manager forgets
            world.lost.add(chance.choice(world.records).authority_id)
        world.tick()
        world.check()
        world.now += chance.choice((10, lifetime // 20 + 1, lifetime // 2, 2 * lifetime))


@given(st.integers(600, 400 * DAY))
def test_left_alone_each_is_known_for_a_third_of_its_life_before_it_signs(lifetime: int) -> None:
    world = World(lifetime)
    step = max(lifetime // 100, 1)
    signing: dict[str, int] = {}
    for _ in range(400):
        world.tick()
        world.check()
        for one in world.records:
            if one.status is ACTIVE:
                signing.setdefault(one.authority_id, world.now)
        world.now += step
    waits = [since - world.published[name] for name, since in signing.items() if since]
    least = activation_time(record(A, ACTIVE, lifetime=lifetime)) - preparation_time(
        record(A, ACTIVE, lifetime=lifetime)
    )
    assert waits
    assert min(waits) >= least - 2 * step


@given(st.integers(600, 400 * DAY))
def test_a_safe_lifetime_is_never_cut(lifetime: int) -> None:
    world = World(lifetime)
    for _ in range(400):
        world.tick()
        (active,) = [one for one in world.records if one.status is ACTIVE]
        # One tick passes between the moment that is planned for and the plan.
        assert active.not_after - world.now >= safe_ttl(lifetime) - lifetime // 100
        world.now += max(lifetime // 100, 1)
