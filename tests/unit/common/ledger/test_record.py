"""Canonical form: what the quick way writes is what RFC 8785 says, whatever the value."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from assay.ledger.record import canonical, hash_of, record_line

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_it_is_what_another_implementation_writes(value: Any) -> None:  # noqa: ANN401 - of JSON
    assert canonical(value) == rfc8785.dumps(value)


def test_keys_beyond_the_first_plane_sort_as_the_standard_has_it() -> None:
    """By UTF-16 code units, in which U+1F600 begins with D83D (RFC 8785 section 3.2.3)."""
    assert canonical({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'.encode()


@pytest.mark.parametrize("value", [2**53, "\ud800", float("nan"), {"a": [float("inf")]}, {1: 2}])
def test_what_not_all_json_can_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)


def test_a_line_has_the_hash_among_its_members() -> None:
    body = canonical({"number": 1, "details": {"a": 1}})
    own = hash_of(body)
    assert record_line(body.decode(), own) == f'{{"details":{{"a":1}},"hash":"{own}","number":1}}'
