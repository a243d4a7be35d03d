"""What was presented once is not taken again, and memory for that is bounded."""

import pytest

from assay.errors import ResourceExhaustedError
from assay.svid.replay import Seen


def test_a_name_is_first_once_until_its_end() -> None:
    seen = Seen()
    assert seen.first("a", 0, 10)
    assert not seen.first("a", 9, 20)
    assert seen.first("a", 10, 20)
    assert seen.first("b", 10, 20)


def test_when_it_is_full_nothing_is_taken_rather_than_something_twice() -> None:
    seen = Seen(2)
    assert seen.first("a", 0, 10)
    assert seen.first("b", 0, 20)
    with pytest.raises(ResourceExhaustedError):
        seen.first("c", 5, 30)
    assert not seen.first("a", 5, 30)
    assert seen.first("c", 10, 30)
