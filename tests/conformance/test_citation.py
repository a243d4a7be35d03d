"""The collector of citations: every form of the mark that pytest obeys, and none that it does not."""

from pathlib import Path

import pytest
from tests.conformance import citation

# Written in two parts: the collector reads this file as well.
MARK = "@pytest.mark." + "spec"


def cited(tmp_path: Path, source: str, file: str = "unit/test_it.py") -> list[tuple[str, str]]:
    """Test and id of what counts."""
    return [(str(one), one.id) for one in found(tmp_path, source, file) if not one.fault]


def found(tmp_path: Path, source: str, file: str = "unit/test_it.py") -> tuple[citation.Citation, ...]:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return citation.collect(tmp_path)


@pytest.mark.parametrize(
    ("source", "name", "ids"),
    [
        (f'{MARK}("A-1-a", "A-1-b")\ndef test_f(): ...', "::test_f", "A-1-a A-1-b"),
        (f'{MARK}("A-1-a")\n{MARK}("A-1-b")\nasync def test_f(): ...', "::test_f", "A-1-a A-1-b"),
        (f'{MARK}(*("A-1-a", "A-1-b"))\ndef test_f(): ...', "::test_f", "A-1-a A-1-b"),
        (f'{MARK[:1]}{MARK[8:]}("A-1-a")\ndef test_f(): ...', "::test_f", "A-1-a"),
        (f'@mark.parametrize("x", [param(1, marks={MARK[1:]}("A-1-a"))])\ndef test_f(x): ...', "::test_f", "A-1-a"),
        (f'pytestmark = {MARK[1:]}("A-1-a")\ndef test_f(): ...', "", "A-1-a"),
        (f'pytestmark = [pytest.mark.interop, {MARK[1:]}("A-1-a")]', "", "A-1-a"),
        (f'pytestmark: list[object] = [{MARK[1:]}("A-1-a")]', "", "A-1-a"),
        (f'{MARK}("A-1-a")\nclass TestC:\n    def test_f(self): ...', "::TestC", "A-1-a"),
        (f'class TestC:\n    pytestmark = {MARK[1:]}("A-1-a")\n    def test_f(self): ...', "::TestC", "A-1-a"),
        (f'class TestC:\n    {MARK}("A-1-a")\n    def test_f(self): ...', "::TestC::test_f", "A-1-a"),
        (f'{MARK}("A-1-a")\n@pytest.mark.skipif(True, reason="x")\ndef test_f(): ...', "::test_f", "A-1-a"),
    ],
)  # fmt: skip
def test_understands_a_mark(tmp_path: Path, source: str, name: str, ids: str) -> None:
    assert cited(tmp_path, source) == [(f"unit/test_it.py{name}", one) for one in ids.split()]


def test_counts_a_test_once_however_often_it_cites(tmp_path: Path) -> None:
    assert cited(tmp_path, f'{MARK}("A-1-a")\n{MARK}("A-1-a")\ndef test_f(): ...') == [
        ("unit/test_it.py::test_f", "A-1-a")
    ]


def test_finds_what_stands_in_every_file_below(tmp_path: Path) -> None:
    found(tmp_path, f'{MARK}("A-1-b")\ndef test_f(): ...', "unit/deep/er/test_b.py")
    assert cited(tmp_path, f'{MARK}("A-1-a")\ndef test_f(): ...', "integration/test_a.py") == [
        ("integration/test_a.py::test_f", "A-1-a"),
        ("unit/deep/er/test_b.py::test_f", "A-1-b"),
    ]


@pytest.mark.parametrize(
    "source",
    [
        f'# {MARK}("A-1-a")\ndef test_f(): ...',
        f"'''{MARK}(\"A-1-a\")'''\ndef test_f(): ...",
        '@other.spec("A-1-a")\ndef test_f(): ...',
        'def test_f():\n    spec("A-1-a")',
    ],
)
def test_takes_nothing_else_for_a_mark(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, source) == ()


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (f'{MARK}("A-1-a")\ndef check_f(): ...', "is not a test"),
        (f'{MARK}("A-1-a")\nclass C:\n    def test_f(self): ...', "is not a test"),
        (f'{MARK}("A-1-a")\n@pytest.mark.skip\ndef test_f(): ...', "is skipped, or expected to fail"),
        (f'{MARK}("A-1-a")\n@pytest.mark.xfail(reason="x")\ndef test_f(): ...', "is skipped, or expected to fail"),
        (
            f'{MARK}("A-1-a")\n@pytest.mark.skip\nclass TestC:\n    def test_f(self): ...',
            "is skipped, or expected to fail",
        ),
        (
            f'class TestC:\n    pytestmark = pytest.mark.skip\n    {MARK}("A-1-a")\n    def test_f(self): ...',
            "is skipped, or expected to fail",
        ),
        (
            f'pytestmark = [pytest.mark.xfail(strict=True)]\n{MARK}("A-1-a")\ndef test_f(): ...',
            "is skipped, or expected to fail",
        ),
        (f"{MARK}(7)\ndef test_f(): ...", "line 1: not an id written out"),
        (f"{MARK}(NAME)\ndef test_f(): ...", "line 1: not an id written out"),
        (f"{MARK}(*NAMES)\ndef test_f(): ...", "line 1: not an id written out"),
        (f"{MARK}()\ndef test_f(): ...", "line 1: a mark names its ids and nothing else"),
        (f'{MARK}("A-1-a", why="x")\ndef test_f(): ...', "line 1: a mark names its ids and nothing else"),
        (f'MARK = {MARK[1:]}("A-1-a")', "line 1: stands on no test; write it on one, the ids spelled out"),
        (
            f'def test_f():\n    return {MARK[1:]}("A-1-a")',
            "line 2: stands on no test; write it on one, the ids spelled out",
        ),
    ],
)
def test_a_mark_that_shows_nothing_is_a_fault(tmp_path: Path, source: str, fault: str) -> None:
    assert {one.fault for one in found(tmp_path, source)} - {""} == {fault}


def test_a_mark_outside_files_of_tests_is_a_fault(tmp_path: Path) -> None:
    (one,) = found(tmp_path, f'{MARK}("A-1-a")\ndef test_f(): ...', "unit/conftest.py")
    assert one.fault == "is not in a file of tests"
