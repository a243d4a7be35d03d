import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.logline import as_go, render_json, render_text

BASE: dict[str, object] = {"time": "2026-11-22T08:13:05Z", "level": "info", "msg": "X509 CA prepared"}


def test_text_is_logrus_with_sorted_keys() -> None:
    line = render_text({"slot": "A", "n": 3, **BASE, "address": "0.0.0.0:8081"})
    assert line == 'time="2026-11-22T08:13:05Z" level=info msg="X509 CA prepared" address="0.0.0.0:8081" n=3 slot=A'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain-._/@^+09", "plain-._/@^+09"),
        ("", ""),
        ("two words", '"two words"'),
        ("spiffe://a/b", '"spiffe://a/b"'),
        ("a=b", '"a=b"'),
        ('say "hi"\\', r'"say \"hi\"\\"'),
        ("a\nb\tc\r\x07\x08\x0b\x0c", r'"a\nb\tc\r\a\b\v\f"'),
        ("\x00\x1b\x7f", r'"\x00\x1b\x7f"'),
        ("\x85\u200b", r'"\u0085\u200b"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("é", '"é"'),
        (True, "true"),
        (False, "false"),
        (None, '"<nil>"'),
        (1.5, "1.5"),
        (["a", "b"], '"[a b]"'),
    ],
)
def test_text_quotes_as_go_does(value: object, written: str) -> None:
    assert render_text({**BASE, "k": value}).removeprefix(render_text(BASE) + " ") == f"k={written}"


@given(st.text())
def test_one_event_is_one_line_whatever_is_in_it(text: str) -> None:
    line = render_text({**BASE, "k": text})
    assert len(line.splitlines()) == 1
    assert "\n" not in render_json({**BASE, "k": text})


def test_json_keeps_numbers_and_truth() -> None:
    line = render_json({**BASE, "n": 3, "ok": True, "x": None, "ids": ["a"]})
    assert json.loads(line) == {**BASE, "n": 3, "ok": True, "x": None, "ids": "[a]"}
    assert line.startswith('{"ids": ')


def test_values_are_written_as_go_prints_them() -> None:
    assert as_go(("a", 1, True)) == "[a 1 true]"


def test_a_path_that_is_not_utf8_is_a_line_of_json_all_the_same() -> None:
    path = b"/tmp/\xff".decode(errors="surrogateescape")
    assert json.loads(render_json({"path": path}).encode()) == {"path": path}
