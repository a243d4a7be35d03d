from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.config.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", "0"), ("5s", "5"), ("1h30m", "5400"), ("1.5h", "5400"), ("300ms", "0.3"), ("-90s", "-90"), ("+1m", "60"),
        (".5s", "0.5"), ("1.s", "1"), ("2us", "0.000002"), ("2µs", "0.000002"), ("3ns", "0.000000003"),
        ("8760h", "31536000"), ("1m1m", "120"),
    ],
)  # fmt: skip
def test_parses_what_go_parses(text: str, seconds: str) -> None:
    assert parse_duration(text) == Decimal(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1d", "1h 30m", "h1", "1..5s", ".s", "--1s", "1e3s", "\N{FULLWIDTH DIGIT ONE}s", "5 s", "1S"]
)
def test_refuses_what_go_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_refuses_what_go_cannot_hold() -> None:
    assert parse_duration("2562047h") < 2**63
    with pytest.raises(ValueError, match="292 years"):
        parse_duration("2562048h")


@given(st.integers(min_value=-(10**9), max_value=10**9))
def test_whole_seconds_survive_being_written_and_read(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (5400, "1h30m"), (3600, "1h"), (61, "1m1s"), (-5, "-5s")])
def test_formats_without_empty_parts(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text
