import os
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.rotation import draw, renew_at, rest

DAY = 86400.0


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 10**8))
@pytest.mark.spec("WAPI-4.3-d")
def test_an_svid_is_renewed_between_45_and_55_percent_of_its_life(place: float, lifetime: int) -> None:
    at = renew_at(1000, 1000 + lifetime, place)
    assert 0.45 * lifetime - 1e-6 <= at - 1000 <= 0.55 * lifetime + 1e-6


def test_a_certificates_place_is_its_own_and_lasting() -> None:
    assert draw(b"one") == draw(b"one") != draw(b"other")


def test_certificates_spread_over_the_window() -> None:
    places = [draw(os.urandom(32)) for _ in range(2000)]
    assert mean(places) == pytest.approx(0.5, abs=0.05)
    assert min(places) < 0.01
    assert max(places) > 0.99


@pytest.mark.parametrize(
    ("lifetime", "target", "left"),
    [
        (4 * DAY, 3 * DAY, 3 * DAY),
        (4 * DAY, DAY, 1.8 * DAY),  # half-life comes first
        (1.5 * DAY, DAY, 0.675 * DAY),  # the target would leave it in use for 12 h or less
    ],
)
def test_an_availability_target_brings_renewal_forward(lifetime: float, target: float, left: float) -> None:
    assert lifetime - renew_at(0, lifetime, 0.0, target) == pytest.approx(left)


@pytest.mark.parametrize(("left", "pause"), [(3600, 5), (10, 5), (4, 2), (1, 1), (0, 5), (-3600, 5)])
def test_a_new_certificate_is_used_for_a_while_however_short_it_is(left: float, pause: float) -> None:
    assert rest(left) == pause
