"""Write docs/cli.md and what shells complete from the commands; with --check only say whether both are current."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from assay.cli.completion.answer import TREE
from assay.cli.completion.tree import choices_of, commands_of, kinds_of, options_of, whole_tree
from assay.cli.groups import DESCRIPTIONS, find_groups
from assay.cli.main import root

PAGE = Path(__file__).resolve().parent / "cli.md"
MARKS = ("<!-- commands -->", "<!-- end -->")


def contents() -> Iterator[str]:
    """The groups, each with its commands."""
    groups = find_groups()
    yield "| | |\n|---|---|"
    yield "\n".join(f"| [`assay {name}`](#assay-{name}) | {text} |" for name, text in DESCRIPTIONS.items())
    for name, text in DESCRIPTIONS.items():
        command = get_command(groups[name].load())
        yield f"\n## `assay {name}`\n"
        if commands_of(command):
            yield f"{text}\n"
        yield from section(f"assay {name}", command)


def section(path: str, command: Any) -> Iterator[str]:  # noqa: ANN401 - typer's commands have private types
    """A command, or those of a group."""
    inner = commands_of(command)
    for name, one in inner.items():
        yield from section(f"{path} {name}", one)
    if not inner:
        yield from entry(path, command)


def entry(path: str, command: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    """One command: what it does, an example, its options."""
    example = (command.epilog or "").removeprefix("Example: ")
    if not example.startswith(f"{path} ") or not command.help:
        raise SystemExit(f"`{path}` does not say what it does, or gives no example of itself")
    if path.count(" ") > 1:
        yield f"### `{path}`\n"
    yield f"{command.help}\n\n    {example}\n"
    yield "| option | value | default | meaning |\n|---|---|---|---|"
    kinds = kinds_of(command)
    yield "\n".join(row(one, kinds.get(one.name)) for one in options_of(command))
    yield ""


def row(option: Any, kind: object) -> str:  # noqa: ANN401 - as above
    """One option."""
    if not option.help:
        raise SystemExit(f"{option.opts[0]} does not say what it means")
    flags = ", ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts))
    cells = (flags, value_of(option, kind), default_of(option), option.help.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def value_of(option: Any, kind: object) -> str:  # noqa: ANN401 - as above
    """What to write after it."""
    if option.is_flag:
        return ""
    if choices := choices_of(kind):
        return ", ".join(f"`{one}`" for one in choices)
    return option.metavar or ("number" if kind is int else "text")


def default_of(option: Any) -> str:  # noqa: ANN401 - as above
    """What it is if it is not given."""
    if option.required:
        return "**required**"
    if option.is_flag or option.default in (None, "", (), [], 0):
        return ""
    return f"`{getattr(option.default, 'value', option.default)}`"


def main() -> int:
    """Write; 1 when --check finds a difference."""
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    listed = "\n".join(contents()).strip().replace("\n\n\n", "\n\n")
    page = f"{before}{MARKS[0]}\n\n{listed}\n\n{MARKS[1]}{after}"
    fresh = {PAGE: page, TREE: json.dumps(whole_tree(root()), indent=1) + "\n"}
    stale = [path for path, text in fresh.items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.write_text(fresh[path])
    elif stale:
        names = " and ".join(path.name for path in stale)
        print(f"{names}: stale, run `make docs`", file=sys.stderr)  # noqa: T201 - a script's answer
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
