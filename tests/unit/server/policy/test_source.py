"""Where policies begin."""

import pytest

from assay_server.policy.source import statements


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("// only; a comment", []),
        ("a;", [(1, "a;")]),
        ("\n// x;\n\n a; b;\nc;", [(4, "a;"), (4, "b;"), (5, "c;")]),
        ('a ";" b;\nc "\\";" d;', [(1, 'a ";" b;'), (2, 'c "\\";" d;')]),
        ('a // ";"\n b;\nc;', [(1, 'a // ";"\n b;'), (3, "c;")]),
        ("a;\nb", [(1, "a;"), (2, "b")]),
        ("a;\n// b", [(1, "a;")]),
        ('a;\nb ";', [(1, "a;"), (2, 'b ";')]),
    ],
)
def test_policies_are_found_with_their_lines(text: str, found: list[tuple[int, str]]) -> None:
    assert [(each.line, each.text) for each in statements("x", text)] == found


def test_a_word_is_found_by_its_line() -> None:
    (one,) = statements("x", "\n\nfirst\nsecond third;")
    assert [one.line_of(word) for word in ("first", "third", "fourth", "")] == [3, 4, 3, 3]
