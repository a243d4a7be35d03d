from enum import Enum
from pathlib import Path
from typing import Annotated

import pytest
import typer

from assay.cli.completion import FILES
from assay.cli.completion.answer import load_tree
from assay.cli.completion.tree import node_of, summary, whole_tree
from assay.cli.main import root, run


class Word(Enum):
    ONE = "one"
    TWO = "two"


app = typer.Typer(help="A group. Of two.")


@app.command()
def first(
    *,
    plain: str = "",
    many: Annotated[list[str] | None, typer.Option("--many", "-m", help="Some words; more. And more.")] = None,
    path: Path | None = None,
    text: Annotated[str, typer.Option(metavar="FILE")] = "",
    word: Word = Word.ONE,
    flag: Annotated[bool | None, typer.Option("--yes/--no")] = None,
    secret: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Do it."""


@app.command()
def second() -> None:
    """Do the other."""


def test_a_command_is_described_by_its_functions_types() -> None:
    node = node_of(app)
    assert node["help"] == "A group"
    assert list(node["commands"]) == ["first", "second"]
    options = node["commands"]["first"]["options"]
    assert options == {
        "--plain": ["", []],
        "--many": ["Some words; more", []],
        "--path": ["", FILES],
        "--text": ["", FILES],
        "--word": ["", ["one", "two"]],
        "--yes": ["", None],
        "--no": ["", None],
        "--help": ["Show this message and exit", None],
    }


@pytest.mark.parametrize(
    ("text", "short"), [(None, ""), ("One.", "One"), ("One.\nTwo.", "One"), ("On\ne\n\nTwo", "On e"), ("a.b", "a.b")]
)
def test_a_summary_is_the_first_sentence(text: str | None, short: str) -> None:
    assert summary(text) == short


def test_the_tree_is_that_of_the_commands() -> None:
    assert whole_tree(root()) == load_tree(), "run `make docs`"


def test_help_gives_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["node", "purge", "--help"]) == 0
    assert "Example: assay node purge --expired-for 168h --dry-run" in " ".join(capsys.readouterr().out.split())
