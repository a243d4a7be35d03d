"""The judgement of list against tests, and the command that `make check` runs."""

from pathlib import Path

import pytest
from tests.conformance import __main__ as command
from tests.conformance import citation, page, reading, verdict
from tests.conformance.citation import Citation
from tests.conformance.requirement import PREFIXES, Conformance, Deviation, Requirement, Standard, Status

HERE = Path(__file__).parent


def conformance(*statuses: Status) -> Conformance:
    """Rows A-1-a, A-1-b … of these statuses."""
    rows = tuple(
        Requirement(f"A-1-{letter}", "MUST", ("issuer",), f"Requirement {letter}.", status, "D" if status else "")
        for letter, status in zip("abcdefg", statuses, strict=False)
    )
    return Conformance((Standard("A", "The A", "A.md", "stable", rows),), {"D": "the agent in full"}, ())


def citing(row: str, fault: str = "") -> Citation:
    return Citation("unit/test_it.py", "test_f", row, fault)


@pytest.mark.parametrize(
    ("status", "cited", "said"),
    [
        ("", True, None),
        ("", False, "has neither a test nor a reason why there is none"),
        ("partly", True, None),
        ("partly", False, "is said to be tested in part, but no test cites it"),
        ("later", False, None),
        ("later", True, "is said to have no test (later), but unit/test_it.py::test_f cites it"),
        ("never", False, None),
        ("never", True, "is said to have no test (never), but unit/test_it.py::test_f cites it"),
    ],
)
def test_judges_a_row(status: Status, cited: bool, said: str | None) -> None:
    found = list(verdict.faults(conformance(status), [citing("A-1-a")] if cited else []))
    assert len(found) == (said is not None)
    assert all(one.startswith(f"A-1-a {said}") for one in found)


def test_an_id_that_is_not_in_the_list_is_a_fault() -> None:
    assert list(verdict.faults(conformance(""), [citing("A-1-a"), citing("A-1-z")])) == [
        "unit/test_it.py::test_f cites A-1-z: the list has no such row"
    ]


def test_a_citation_that_does_not_count_is_a_fault_and_shows_nothing() -> None:
    assert list(verdict.faults(conformance(""), [citing("A-1-a", "is skipped")])) == [
        "unit/test_it.py::test_f cites A-1-a: is skipped",
        "A-1-a has neither a test nor a reason why there is none",
    ]


def test_a_deviation_names_rows_of_the_list() -> None:
    one = conformance("never")
    strange = Conformance(one.standards, one.plans, (Deviation("spire", ("A-1-a", "A-9-a"), "W.", "Y."),))
    assert list(verdict.faults(strange, [])) == ["a deviation names A-9-a: the list has no such row"]


def test_the_page_has_tests_and_reasons_by_row() -> None:
    shown = page.rendered(conformance("", "later", "never"), [citing("A-1-a")])
    link = "[test_it.py::test_f](../tests/unit/test_it.py)"
    assert f"| A-1-a | MUST | Requirement a. | issuer | {link} |" in shown
    assert "| A-1-b | MUST | Requirement b. | issuer | **later**: the agent in full |" in shown
    assert "| A-1-c | MUST | Requirement c. | issuer | **never**: D |" in shown
    assert "| [The A](#the-a) | 3 | 1 | 0 | 1 | 1 | 1 |" in shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A list of one row, and a test that cites it."""
    (tmp_path / "list").mkdir()
    for prefix in PREFIXES:
        (tmp_path / "list" / f"{prefix}.toml").write_text(
            f'[standard]\nprefix = "{prefix}"\ntitle = "T"\ndocument = "T.md"\nstability = "stable"\n'
        )
    with (tmp_path / "list" / "ID.toml").open("a") as file:
        file.write('[ID-1-a]\nlevel = "MUST"\nwho = ["issuer"]\ntext = "T."\n')
    (tmp_path / "list" / "plans.toml").write_text("")
    (tmp_path / "list" / "deviations.toml").write_text(
        '[[deviation]]\nkind = "spire"\nrows = ["ID-1-a"]\nwhat = "W."\nwhy = "Y."\n'
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text("@pytest.mark." + 'spec("ID-1-a")\ndef test_f(): ...\n')
    return tmp_path


def run(folder: Path, *arguments: str) -> int:
    return command.main(
        list(arguments), folder=folder / "list", tests=folder / "tests", written=folder / "conformance.md"
    )


def test_the_command_writes_the_page_and_then_finds_it_current(folder: Path) -> None:
    assert (run(folder, "--check"), run(folder), run(folder, "--check")) == (1, 0, 0)


def test_the_command_fails_for_a_stale_page_and_leaves_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "conformance.md").write_text("old")
    assert run(folder, "--check") == 1
    assert "stale" in capsys.readouterr().err
    assert (folder / "conformance.md").read_text() == "old"


def test_the_command_fails_for_a_row_without_a_test(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "tests" / "test_it.py").write_text("")
    assert (run(folder), run(folder, "--check")) == (0, 1)
    assert capsys.readouterr().err == "ID-1-a has neither a test nor a reason why there is none\n"


def test_the_command_fails_for_a_malformed_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "list" / "ID.toml").write_text("[")
    assert (run(folder), run(folder, "--check")) == (1, 1)
    assert "ID.toml" in capsys.readouterr().err
    assert not (folder / "conformance.md").exists()


def test_every_link_of_the_page_leads_somewhere() -> None:
    shown = page.rendered(reading.load(HERE), citation.collect(HERE.parent))
    targets = {part.partition(")")[0] for part in shown.split("](../tests/")[1:]}
    assert targets
    assert [target for target in sorted(targets) if not (HERE.parent / target).is_file()] == []
