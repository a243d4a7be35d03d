from pathlib import Path
from typing import Any

import hcl2
import pytest
from hcl2 import SerializationOptions
from hypothesis import given
from hypothesis import strategies as st
from lark.exceptions import UnexpectedInput

from assay.config.document import Document
from assay.config.fault import ConfigError
from assay.config.source import parse

EXAMPLES = Path(__file__).parents[4] / "examples"
PLAIN = SerializationOptions(strip_string_quotes=True, explicit_blocks=False, with_comments=False)


def read(text: str) -> Document:
    return parse(text, "x.conf")


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a = 1", {"a": 1}),
        ("a = -5", {"a": -5}),
        ("a = 1.5", {"a": 1.5}),
        ("a = true\nb = false", {"a": True, "b": False}),
        ('a = "x"', {"a": "x"}),
        ('a = ""', {"a": ""}),
        (r'a = "q\"b\\n\tu\u00e9"', {"a": 'q"b\\n\tu\u00e9'}),
        ('a = ["x", "y",]', {"a": ["x", "y"]}),
        ("a = []", {"a": []}),
        ('a = [\n  "x",\n  # why\n  "y"\n]', {"a": ["x", "y"]}),
        ('a = [{ id = "x", n = 1 }]', {"a": [{"id": "x", "n": 1}]}),
        ("a {}", {"a": {}}),
        ("a { x = 1 y = 2 }", {"a": {"x": 1, "y": 2}}),
        ("a\n{\n}", {"a": {}}),
        ("a { b = 1, c = 2, }", {"a": {"b": 1, "c": 2}}),
        ("a = 0x1F", {"a": 31}),
        ("a = 1e3", {"a": 1000.0}),
        ('"a b" = 1', {"a b": 1}),
        ("a = null", {"a": None}),
        ("a = { x = 1 }", {"a": {"x": 1}}),
        ('a = { "k" = { b = "c" } }', {"a": {"k": {"b": "c"}}}),
        ('a "b" { x = 1 }', {"a": {"b": {"x": 1}}}),
        ('a "b" {}\na "c" {}', {"a": {"b": {}, "c": {}}}),
        ('a "b" "c" { x = 1 }', {"a": {"b": {"c": {"x": 1}}}}),
        ("a { x = 1 }\na { y = 2 }", {"a": {"x": 1, "y": 2}}),
        ("a { x = 1 }\na { x = 2 }", {"a": [{"x": 1}, {"x": 2}]}),
        ("# one\n// two\n/* three\n*/ a = 1 # four", {"a": 1}),
        ("a = 1\r\nb = 2\r\n", {"a": 1, "b": 2}),
        ("", {}),
        ("# nothing\n", {}),
    ],
)
def test_reads(text: str, data: dict[str, object]) -> None:
    document = read(text)
    assert document.data == data
    assert not document.faults


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = <<EOF\none\n  two\nEOF\n", "one\n  two\n"),
        ("a = <<-EOF\n    one\n      two\n    EOF\n", "one\n  two\n"),
        ("a = <<-EOF\n one\n    two\n    EOF\n", " one\n    two\n"),
        ("a = <<E\nE\n", ""),
    ],
)
def test_reads_heredocs(text: str, value: str) -> None:
    assert read(text).data == {"a": value}


@pytest.mark.parametrize("text", ["${HOME}", "{{ .Fingerprint }}", "$5", "a ${x.y} b", "100%", "%{x}", '${a("b")}'])
def test_strings_are_not_interpolated(text: str) -> None:
    assert read(f'a = "{text}"').data == {"a": text}


@pytest.mark.parametrize(
    "text",
    [
        '"plugins" { "NodeAttestor" "x" { "plugin_data" { "k" = 1 } } }',
        'plugins {\n  "NodeAttestor" {\n    "x" {\n      plugin_data { k = 1 }\n    }\n  }\n}',
        '"plugins" "NodeAttestor" "x" "plugin_data" { k = 1 }',
    ],
)
def test_names_may_be_quoted_as_in_hcl_1(text: str) -> None:
    assert read(text).data == {"plugins": {"NodeAttestor": {"x": {"plugin_data": {"k": 1}}}}}


def test_every_key_keeps_its_line() -> None:
    document = read('# c\nserver {\n  a = 1\n\n  sub "x" {\n    b = [1]\n  }\n  o = {\n    c = 2\n  }\n}\n')
    assert document.lines == {
        ("server",): 2, ("server", "a"): 3, ("server", "sub"): 5, ("server", "sub", "x"): 5,
        ("server", "sub", "x", "b"): 6, ("server", "o"): 8, ("server", "o", "c"): 9,
    }  # fmt: skip
    assert document.where(("server", "sub", "x", "b", 0)) == "x.conf:6"
    assert document.where(("server", "other")) == "x.conf:2"
    assert document.where(("nowhere",)) == "x.conf"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = 1\na = 2", "x.conf:2: a: is set twice, first on line 1"),
        ('p "x" {}\n\np "x" {}', "x.conf:3: p.x: is declared more than once, first on line 1"),
        ("s {\n  a = info\n}", 'x.conf:2: s.a: is not a plain value; text stands in quotes, such as "info"'),
        ("a = 1\na {}\n", "x.conf:2: a: is both a value and a block"),
        ('a = 1\na "b" {}', "x.conf:2: a: is both a value and a block"),
        ("a {}\na = 1", "x.conf:2: a: is set twice, first on line 1"),
    ],
)
def test_says_what_cannot_be_meant(text: str, fault: str) -> None:
    assert [str(one) for one in read(text).faults] == [fault]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a = 1\nb = = 2\n", "x.conf:2"),
        ("a = 1\n}\n", "x.conf:2"),
        ("server {\n  a = \n}\n", "x.conf:2"),
        ("[server]\n", "x.conf:1"),
        ("trust_domain: x", "x.conf:1"),
        ('"plugins" {\n  a = = 1\n}', "x.conf:2"),
        ("a = 1 + 1", "x.conf:1"),
        ("a b = 1", "x.conf:1"),
        ("a\nb", "x.conf:2"),
        ('x = 1\na = ["b"\n"c"]', "x.conf:3"),
        ("a = 1x", "x.conf:1"),
        ("a = 1.", "x.conf:1"),
    ],
)
def test_syntax_errors_have_their_line(text: str, where: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text)
    (fault,) = refused.value.faults
    assert fault.where == where
    assert fault.reason.startswith("is not valid HCL")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\nserver {\n  a = 1\n", "x.conf:2: opens what is never closed; a } is missing"),
        ("a = [\n1,\n", "x.conf:1: opens what is never closed; a ] is missing"),
        ('\na = "x\nb = "y"', "x.conf:2: has a string without its closing quote"),
        ("a = 1\n/* x", "x.conf:2: has a comment without its end"),
        ("a = <<EOF\nx\n", "x.conf:1: has a heredoc without its end"),
        (r'a = "\UFFFFFFFF"', "x.conf:1: has an escape that is no character"),
    ],
)
def test_what_is_not_closed_is_said_where_it_opens(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert str(refused.value) == fault


def test_a_syntax_error_does_not_repeat_the_text() -> None:
    with pytest.raises(ConfigError) as refused:
        read('join_token = "t0ps3cret" "t0ps3cret"')
    assert "t0ps3cret" not in str(refused.value)


def test_what_is_nested_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        read("a { " * 100_000)


def test_a_string_full_of_dollars_is_read_in_no_time() -> None:
    with pytest.raises(ConfigError):
        read('a = "' + "${a}" * 10_000)


KEYS = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
# `${` keeps what is within as it is, backslashes too.
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF)).filter(lambda text: "${" not in text)
VALUES = st.recursive(
    st.booleans() | st.integers(-(10**9), 10**9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    assert read(f"a = {written(value)}\n").data == {"a": value}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.conf")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_hcl_2_has_too_is_read_alike(path: Path) -> None:
    assert read(path.read_text()).data == unwrapped(hcl2.loads(path.read_text(), serialization_options=PLAIN))


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('"plugins" {}', {"plugins": {}}),
        ('plugin_data { "keys_path" = "x" }', {"plugin_data": {"keys_path": "x"}}),
        ("a { b = 1, c = 2 }", {"a": {"b": 1, "c": 2}}),
        ("a\n{\n  b = 1\n}", {"a": {"b": 1}}),
        ('a = "%{x}"', {"a": "%{x}"}),
        ("a = <<EOF\none\nEOF\n", {"a": "one\n"}),
        ("a = 0x1F", {"a": 31}),
    ],
)
def test_what_only_hcl_1_has_is_why_there_is_a_reader_of_our_own(text: str, data: dict[str, object]) -> None:
    assert read(text).data == data
    try:
        theirs = hcl2.loads(text, serialization_options=PLAIN)
    except UnexpectedInput:
        return
    assert unwrapped(theirs) != data


def unwrapped(value: object) -> Any:  # noqa: ANN401 - as the library
    """What python-hcl2 gives, with its lists around blocks taken away; the examples have no lists of objects."""
    if isinstance(value, list) and all(isinstance(one, dict) for one in value) and value:
        whole: dict[str, Any] = {}
        for one in value:
            for key, inner in unwrapped(one).items():
                whole[key] = whole.get(key, {}) | inner if isinstance(inner, dict) else inner
        return whole
    if isinstance(value, dict):
        return {key.strip('"'): unwrapped(one) for key, one in value.items()}
    return value


def written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        inside = "".join(f"{key} = {written(one)}\n" for key, one in value.items())
        return f"{{\n{inside}}}"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
