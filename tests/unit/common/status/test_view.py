"""What is held of credentials' status: what counts, from when, and how old it is."""

import math
from typing import Any

import pytest

from assay.spiffeid import SpiffeId
from assay.status.view import GRACE, KEPT_AFTER_EXPIRY, Revoked, StatusView
from assay_proto.status.v1 import status_pb2 as pb

NOW = 1_800_000_000
BOT = SpiffeId.parse("spiffe://example.org/principal/bot/a")
READ = "consequential_read"


def update(
    position: int = 1,
    *,
    incarnation: str = "one",
    at: int = NOW,
    interval: int = 2,
    **fields: Any,  # noqa: ANN401 - whatever an update may say
) -> pb.Update:
    return pb.Update(position=position, incarnation=incarnation, at=at, interval=interval, **fields)


def revoked(jti: str, expires_at: int = NOW + 300) -> pb.Revoked:
    return pb.Revoked(jti=jti, task_id="tsk_1", expires_at=expires_at, revoked_at=NOW, cause="owner_left")


def withdrawn(spiffe_id: SpiffeId = BOT, *, back: bool = False) -> pb.Identity:
    return pb.Identity(spiffe_id=str(spiffe_id), withdrawn=not back, cause="principal_suspended")


@pytest.fixture
def view() -> StatusView:
    held = StatusView()
    held.apply(update(snapshot=True, staleness={READ: 60}), NOW)
    return held


def test_who_has_heard_nothing_knows_nothing() -> None:
    view = StatusView()
    assert (view.position, view.incarnation, view.age(NOW)) == (0, "", math.inf)
    assert not view.fresh("non_consequential", NOW)


def test_a_revocation_that_comes_is_held_with_its_cause(view: StatusView) -> None:
    view.apply(update(2, revoked=[revoked("crd_1")]), NOW)
    assert view.revoked("crd_1") == Revoked("crd_1", "tsk_1", NOW + 300, NOW, "owner_left")
    assert view.revoked("crd_2") is None
    assert view.position == 2


def test_identities_come_and_go(view: StatusView) -> None:
    view.apply(update(2, identities=[withdrawn()]), NOW)
    assert view.withdrawn(BOT)
    assert view.withdrawals() == {str(BOT): "principal_suspended"}
    view.apply(update(3, identities=[withdrawn(back=True)]), NOW)
    assert not view.withdrawn(BOT)


def test_a_snapshot_replaces_identities_once_it_is_whole(view: StatusView) -> None:
    other = SpiffeId.parse("spiffe://example.org/principal/other")
    view.apply(update(2, identities=[withdrawn()]), NOW)
    view.apply(update(9, snapshot=True, more=True, identities=[withdrawn(other)]), NOW)
    assert view.withdrawn(BOT)
    assert view.withdrawn(other)
    view.apply(update(9), NOW)
    assert not view.withdrawn(BOT)
    assert view.withdrawn(other)
    assert view.position == 9


def test_a_snapshot_that_broke_off_is_never_taken_for_the_whole(view: StatusView) -> None:
    view.apply(update(2, identities=[withdrawn()]), NOW)
    view.apply(update(9, snapshot=True, more=True), NOW)
    assert view.position == 0, "so that whoever resumes asks for a snapshot"
    view.apply(update(9, snapshot=True, more=True), NOW)
    assert view.withdrawn(BOT)


def test_a_credential_once_revoked_stays_so_whatever_another_store_says(view: StatusView) -> None:
    view.apply(update(2, revoked=[revoked("crd_1")]), NOW)
    view.apply(update(1, incarnation="restored", snapshot=True), NOW)
    assert view.revoked("crd_1")
    assert (view.position, view.incarnation) == (1, "restored")


def test_what_another_store_says_without_a_snapshot_proves_nothing(view: StatusView) -> None:
    view.apply(update(7, incarnation="restored", revoked=[revoked("crd_1")]), NOW)
    assert view.age(NOW) == math.inf
    assert (view.position, view.incarnation) == (0, "")
    assert view.revoked("crd_1")
    view.apply(update(8), NOW)
    assert view.age(NOW) == math.inf


def test_knowledge_is_as_old_as_the_last_word_of_the_whole_truth(view: StatusView) -> None:
    assert view.age(NOW + 5) == 5
    view.apply(update(2, at=NOW + 5, more=True), NOW + 5)
    assert view.age(NOW + 5) == 5
    view.apply(update(2, at=NOW + 5), NOW + 5)
    assert view.age(NOW + 5) == 0


@pytest.mark.parametrize(("at", "age"), [(NOW - 600, 600), (NOW + 600, 0)], ids=["relayed late", "clock ahead"])
def test_it_is_never_younger_than_proven(at: int, age: int) -> None:
    view = StatusView()
    view.apply(update(snapshot=True, at=at), NOW)
    assert view.age(NOW) == age
    assert view.age(NOW + 60) == age + 60


def test_what_is_told_late_makes_nothing_younger(view: StatusView) -> None:
    view.apply(update(5), NOW)
    view.apply(update(4, at=NOW + 9), NOW + 9)
    assert (view.position, view.age(NOW + 9)) == (5, 9)


def test_each_class_bears_knowledge_of_its_age(view: StatusView) -> None:
    assert view.allowed_age(READ) == 60
    assert view.allowed_age("irreversible") == view.allowed_age("never heard of") == 0
    pause = view.interval + GRACE
    assert view.fresh("irreversible", NOW + pause)
    assert not view.fresh("irreversible", NOW + pause + 1)
    assert view.fresh(READ, NOW + 60 + pause)
    assert not view.fresh(READ, NOW + 60 + pause + 1)


def test_bounds_that_change_hold_at_once(view: StatusView) -> None:
    view.apply(update(2), NOW)
    assert view.allowed_age(READ) == 60
    view.apply(update(3, staleness={READ: 0}), NOW)
    assert view.allowed_age(READ) == 0
    view.apply(update(4, snapshot=True), NOW)
    assert not view.staleness


def test_expired_ones_are_forgotten_when_nobody_takes_them_any_more(view: StatusView) -> None:
    view.apply(update(2, revoked=[revoked("crd_1"), revoked("crd_2", NOW + 900)]), NOW)
    view.prune(NOW + 300 + KEPT_AFTER_EXPIRY - 1)
    assert view.revoked("crd_1")
    view.prune(NOW + 300 + KEPT_AFTER_EXPIRY)
    assert [one.jti for one in view.revocations()] == ["crd_2"]
