import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.backoff import Backoff


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5.0), (2, 7.5), (3, 11.25), (40, 120.0), (10**9, 120.0)])
def test_delays_grow_to_the_limit(failures: int, seconds: float) -> None:
    assert Backoff(first=5, limit=120).delay(failures, 0.5) == pytest.approx(seconds)


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_bounds(failures: int, draw: float) -> None:
    backoff = Backoff(first=1, limit=60, jitter=0.2)
    middle = backoff.delay(failures, 0.5)
    assert 0.8 * middle <= backoff.delay(failures, draw) <= 1.2 * middle
