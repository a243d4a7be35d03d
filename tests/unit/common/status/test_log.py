"""What is new since a position, and what there is in all."""

import pytest

from assay.status.log import KEPT_AFTER_EXPIRY, StatusLog
from assay.status.values import Identity, Revoked

NOW = 1_800_000_000
BOT = "spiffe://example.org/bot"


def revoked(jti: str, expires_at: int = NOW) -> Revoked:
    return Revoked(jti, "tsk_1", expires_at, NOW, "test")


@pytest.fixture
def log() -> StatusLog:
    log = StatusLog(most=3)
    log.begin("one", 10, [revoked("a")])
    return log


def jtis(log: StatusLog, position: int, incarnation: str = "one") -> tuple[bool, list[str]]:
    told = log.since(position, incarnation)
    return told.snapshot, [one.jti for one in told.revoked]


def test_what_came_after_a_position_is_told_and_no_more(log: StatusLog) -> None:
    log.advance(11, [revoked("b")])
    log.advance(13)
    log.advance(14, [revoked("c"), revoked("d")])
    assert jtis(log, 10) == (False, ["b", "c", "d"])
    assert jtis(log, 11) == jtis(log, 12) == (False, ["c", "d"])
    assert jtis(log, 14) == (False, [])
    assert log.newer_than(13)
    assert not log.newer_than(14)


@pytest.mark.parametrize(("position", "incarnation"), [(0, ""), (0, "one"), (9, "one"), (12, "one"), (10, "two")])
def test_everything_is_told_to_whoever_holds_something_else(log: StatusLog, position: int, incarnation: str) -> None:
    log.advance(11, [revoked("b")])
    assert jtis(log, position, incarnation) == (True, ["a", "b"])


def test_a_young_store_has_no_position_at_which_nothing_is_held() -> None:
    log = StatusLog()
    log.begin("one", 5, [revoked("a")], since=0, news=[revoked("a")])
    assert jtis(log, 0) == (True, ["a"])
    assert jtis(log, 1) == (False, ["a"])


def test_what_is_not_remembered_one_by_one_is_told_whole(log: StatusLog) -> None:
    log.advance(11, [revoked("b"), revoked("c"), revoked("d")])
    assert jtis(log, 10) == (False, ["b", "c", "d"])
    log.advance(12, [revoked("e")])
    assert jtis(log, 10) == (True, ["a", "b", "c", "d", "e"])
    assert jtis(log, 11) == (False, ["e"])


def test_the_last_word_on_an_identity_counts(log: StatusLog) -> None:
    log.advance(11, [Identity(BOT, withdrawn=True, cause="odd")])
    log.advance(12, [Identity(BOT, withdrawn=False)])
    assert log.since(10, "one").identities == (Identity(BOT, withdrawn=False),)
    assert log.since(0, "").identities == ()
    log.advance(13, [Identity(BOT, withdrawn=True)])
    assert log.since(0, "").identities == (Identity(BOT, withdrawn=True),)


def test_revocations_outlive_a_store_that_does_not_know_them(log: StatusLog) -> None:
    log.advance(11, [Identity(BOT, withdrawn=True)])
    log.begin("restored", 4, [revoked("b")])
    assert jtis(log, 4, "restored") == (False, [])
    assert jtis(log, 11, "one") == (True, ["a", "b"])
    assert log.since(0, "").identities == ()


def test_what_nobody_can_present_any_more_is_forgotten(log: StatusLog) -> None:
    log.prune(NOW + KEPT_AFTER_EXPIRY - 1)
    assert jtis(log, 0) == (True, ["a"])
    log.prune(NOW + KEPT_AFTER_EXPIRY)
    assert jtis(log, 0) == (True, [])
