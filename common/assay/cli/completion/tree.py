"""The tree of commands as data: for the shells' questions, and for docs/cli.md."""

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

import typer
from typer.main import get_command

from assay.cli.completion import FILES
from assay.cli.completion.scripts import SCRIPTS
from assay.cli.groups import DESCRIPTIONS, find_groups

SHELL = "[SHELL]"


def whole_tree(root: typer.Typer) -> dict[str, object]:
    """All commands that are ours, with the root's own options."""
    groups = find_groups()
    commands = {name: {**node_of(groups[name].load()), "help": text} for name, text in DESCRIPTIONS.items()}
    return {"options": node_of(root)["options"], "commands": commands}


def node_of(app: typer.Typer) -> dict[str, Any]:
    """One group, or a command that is alone."""
    return _node(get_command(app))


def options_of(command: Any) -> Iterator[Any]:  # noqa: ANN401 - typer's commands have private types
    """The options of a command that its help shows, --help not among them."""
    yield from (one for one in command.params if one.param_type_name == "option" and not one.hidden)


def commands_of(command: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """A group's commands by name; none if it is no group."""
    found: dict[str, Any] = getattr(command, "commands", {})
    return found


def summary(text: str | None) -> str:
    """The first sentence or line of a help text."""
    first = (text or "").strip().split("\n\n")[0].replace("\n", " ")
    return first.partition(". ")[0].removesuffix(".")


def choices_of(kind: object) -> list[str]:
    """The words that an option of that type takes, if they are counted."""
    return [str(one.value) for one in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def kinds_of(command: Any) -> dict[str, object]:  # noqa: ANN401 - as above
    """The type of each of a command's parameters by its name, as its function declares it; None is left out."""
    hints = get_type_hints(command.callback) if command.callback else {}
    return {name: _without_none(hint) for name, hint in hints.items()}


def _without_none(hint: object) -> object:
    given = [one for one in get_args(hint) if one is not NoneType]
    return given[0] if isinstance(hint, UnionType) and len(given) == 1 else hint


def _node(command: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    made: dict[str, Any] = {"help": summary(command.help)}
    if found := commands_of(command):
        made["commands"] = {name: _node(one) for name, one in found.items()}
    kinds = kinds_of(command)
    made["options"] = {
        flag: [summary(one.help), _values(one, kinds.get(one.name))]
        for one in options_of(command)
        for flag in _flags(one)
    } | {"--help": ["Show this message and exit", None]}
    return made


def _flags(option: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    yield from (flag for flag in (*option.opts, *option.secondary_opts) if flag.startswith("--"))


def _values(option: Any, kind: object) -> Sequence[str] | None:  # noqa: ANN401 - as above
    if option.is_flag:
        return None
    if option.metavar == SHELL:
        return list(SCRIPTS)
    return choices_of(kind) or (FILES if kind is Path or option.metavar == "FILE" else [])
