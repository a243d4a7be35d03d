import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import InvalidArgumentError
from assay.selector import Selector, sorted_distinct


def test_the_value_may_hold_colons() -> None:
    selector = Selector.parse("k8s:pod-label:app:web")
    assert (selector.type, selector.value) == ("k8s", "pod-label:app:web")
    assert str(selector) == "k8s:pod-label:app:web"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("unix", "must be formatted as type:value"),
        (":uid", "missing selector type"),
        ("unix:", "missing selector value"),
        ("", "must be formatted"),
    ],
)
def test_refuses_halves(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        Selector.parse(text)


def test_a_type_has_no_colon() -> None:
    with pytest.raises(InvalidArgumentError, match="contains ':'"):
        Selector("a:b", "c")


def test_sorts_by_type_then_value() -> None:
    assert sorted([Selector("b", "1"), Selector("a", "2"), Selector("a", "1")]) == [
        Selector("a", "1"),
        Selector("a", "2"),
        Selector("b", "1"),
    ]


@given(st.lists(st.builds(Selector, st.sampled_from("ab"), st.sampled_from("xyz"))))
def test_selectors_are_sorted_and_distinct(selectors: list[Selector]) -> None:
    assert sorted_distinct(selectors) == tuple(sorted(set(selectors)))
