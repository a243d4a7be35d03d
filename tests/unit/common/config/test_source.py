from pathlib import Path

import pytest

from assay.config.fault import ConfigError
from assay.config.source import parse, read

DATA = {"server": {"trust_domain": "x", "bind_port": 1}, "assay": {"n": 2}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.conf", 'server {\n  trust_domain = "x"\n  bind_port = 1\n}\nassay {\n  n = 2\n}\n'),
        ("a.conf", '{"server":\n  {"trust_domain": "x",\n   "bind_port": 1},\n\n "assay": {\n "n": 2}}'),
        ("a.json", ' \n{"server":\n{"trust_domain": "x",\n "bind_port": 1}, "assay": {"n":\n 2}}'),
        ("a.toml", '[server]\ntrust_domain = "x"\nbind_port = 1\n\n[assay]\nn = 2\n'),
    ],
)
def test_reads_each_syntax_with_lines(name: str, text: str) -> None:
    document = parse(text, name)
    assert document.data == DATA
    assert document.lines["server", "bind_port"] == 1 + text[: text.index("bind_port")].count("\n")
    assert not document.faults


def test_a_line_is_only_said_when_it_is_certain() -> None:
    document = parse('{"a": {"path": 1},\n "b": {"path": 2},\n "c": {"deep": 3}}', "x")
    assert document.where(("a", "path")) == "x:1"  # that of "a"
    assert document.where(("c", "deep")) == "x:3"
    assert ("a", "path") not in document.lines


@pytest.mark.parametrize(
    ("name", "text", "where", "reason"),
    [
        ("a.conf", '{"a": 1,\n "b" 2}', "a.conf:2", "is not valid JSON"),
        ("a.toml", "a = 1\nb = \n", "a.toml:2", "is not valid TOML"),
        ("a.conf", "{", "a.conf:1", "is not valid JSON"),
    ],
)
def test_syntax_errors_have_their_line(name: str, text: str, where: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text, name)
    (fault,) = refused.value.faults
    assert fault.where == where
    assert reason in fault.reason


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"a": {\n"b": 1,\n"b": 2}}', "x:3: b: is set twice, first on line 2"),
        ('{"a": {\n"b": 1,\n"b": 2},\n"c": {"b": 3}}', "x: b: is set twice"),
    ],
)
def test_a_json_key_given_twice_is_a_fault(text: str, fault: str) -> None:
    assert [str(one) for one in parse(text, "x").faults] == [fault]


def test_json_nested_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"nested too deeply|not valid JSON"):
        parse('{"a":' * 200_000, "x")


@pytest.mark.parametrize(("name", "text"), [("x", '{"a": %s}'), ("x", "a = %s"), ("x.toml", "a = %s")])
def test_a_number_without_end_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match="number that is too long"):
        parse(text % ("9" * 5_000), name)


def test_reads_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read(path).data == {"a": 1}


def test_expands_variables_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text('a = "$NAME"\n')
    assert read(path).data == {"a": "$NAME"}
    assert read(path, env={"NAME": "v"}).data == {"a": "v"}


def test_a_missing_file_is_named_whole_and_says_which_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        read(Path("no.conf"))
    assert str(refused.value) == f"{tmp_path}/no.conf: could not find config file; name it with --config"


@pytest.mark.parametrize(("content", "reason"), [(b"\xff\xfe", "is not UTF-8 text"), (None, "cannot be read")])
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "x.conf"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason):
        read(path)
