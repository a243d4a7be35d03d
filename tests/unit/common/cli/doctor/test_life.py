from datetime import UTC, datetime, timedelta

import pytest

from assay.cli.doctor.finding import Status
from assay.cli.doctor.life import Life, check_bundle, check_skew, check_svid

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def life(begins: timedelta, ends: timedelta) -> Life:
    return Life(NOW + begins, NOW + ends)


@pytest.mark.parametrize(
    ("begins", "ends", "status", "seen"),
    [
        (-HOUR, HOUR, Status.OK, "good by this machine's clock"),
        (-timedelta(seconds=10), HOUR, Status.OK, "good"),
        (-timedelta(seconds=4), HOUR, Status.WARNING, "at least 6s behind"),
        (MINUTE, HOUR, Status.FAILED, "begins 1m from now"),
        (-HOUR, -MINUTE, Status.FAILED, "ended 1m ago"),
    ],
)
def test_the_servers_certificate_tells_of_the_clock(
    begins: timedelta, ends: timedelta, status: Status, seen: str
) -> None:
    found = check_skew("skew", life(begins, ends), NOW)
    assert found.status is status
    assert seen in found.seen
    assert bool(found.advice) is (status is not Status.OK)


@pytest.mark.parametrize(
    ("begins", "ends", "status", "seen"),
    [
        (-MINUTE, 59 * MINUTE, Status.OK, "expires in 59m"),
        (-45 * MINUTE, 15 * MINUTE, Status.OK, "expires in 15m"),
        (-46 * MINUTE, 14 * MINUTE, Status.WARNING, "should have been renewed"),
        (-HOUR, timedelta(), Status.FAILED, "expired 0s ago"),
        (-HOUR, -MINUTE, Status.FAILED, "expired 1m ago"),
        (MINUTE, HOUR, Status.FAILED, "only from 1m from now"),
    ],
)
def test_an_svid_ought_to_be_renewed_at_half_its_life(
    begins: timedelta, ends: timedelta, status: Status, seen: str
) -> None:
    found = check_svid("SVID", life(begins, ends), NOW, "do this")
    assert found.status is status
    assert seen in found.seen


@pytest.mark.parametrize(
    ("lives", "status", "seen"),
    [
        ([], Status.SKIPPED, "holds no CA certificate"),
        ([life(-HOUR, HOUR)], Status.OK, "1 CA certificate; the last expires in 1h"),
        ([life(-2 * HOUR, -HOUR), life(-HOUR, HOUR)], Status.OK, "2 CA certificates; the last expires in 1h"),
        ([life(-51 * MINUTE, 9 * MINUTE)], Status.WARNING, "the next is not there"),
        ([life(-50 * MINUTE, 10 * MINUTE)], Status.OK, "expires in 10m"),
        ([life(-2 * HOUR, -HOUR)], Status.FAILED, "the last expired 1h ago"),
    ],
)
def test_a_bundle_has_its_next_ca_in_time(lives: list[Life], status: Status, seen: str) -> None:
    found = check_bundle("bundle", lives, NOW, "do this")
    assert found.status is status
    assert seen in found.seen
