import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.config.expand import expand_env

ENV = {"NAME": "value", "A": "1", "1": "one"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$NAME", "value"), ("${NAME}", "value"), ("x$NAME.y", "xvalue.y"), ("${NAME}x", "valuex"), ("$NAMEx", ""),
        ("$UNSET", ""), ("${UNSET}|", "|"), ("$$NAME", "$NAME"), ("$1x", "onex"), ("$", "$"), ("$ x", "$ x"),
        ("$-", ""), ("a$", "a$"), ('"$A"', '"1"'), ("${A}${A}", "11"), ("${}", ""),
    ],
)  # fmt: skip
def test_expands_as_go_does(text: str, expanded: str) -> None:
    assert expand_env(text, ENV) == expanded


@given(st.text(alphabet=st.characters(exclude_characters="$")))
def test_text_without_a_dollar_stays(text: str) -> None:
    assert expand_env(text, ENV) == text


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    assert expand_env("$A", {"A": "$B", "B": "x"}) == "$B"
