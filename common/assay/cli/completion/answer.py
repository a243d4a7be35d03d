"""What could come next on a command line, from the tree of commands that `make docs` writes beside this module."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from assay.cli.argv import spire_flags
from assay.cli.completion import ENVIRONMENT, FILES

TREE = Path(__file__).with_name("tree.json")

# {"help": text, "options": {"--flag": [help, values]}, "commands": {name: node}}; `values` is null for a switch, a list
# of words, FILES, or empty for any text.
Node: TypeAlias = Mapping[str, Any]
Candidate: TypeAlias = tuple[str, str]


def answer() -> None:
    """Print what could come next for the shell that asks: this process's arguments are the words so far."""
    words = sys.argv[1:] or [""]
    lines = rendered(candidates(_with_strangers(load_tree(), words), words), os.environ[ENVIRONMENT])
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def load_tree() -> Node:
    """The tree of all commands that are ours."""
    tree: Node = json.loads(TREE.read_text(encoding="utf-8"))
    return tree


def candidates(tree: Node, words: Sequence[str]) -> list[Candidate]:
    """The words that could stand for the last, each with its help; FILES alone for a file's name."""
    *before, last = words
    if last == "=" and before:  # bash breaks words at equal signs
        before, last = [*before, last], ""
    option, prefix = _open_option(before, last)
    node = _descend(tree, before)
    _, values = node.get("options", {}).get(option, ("", None))
    if values == FILES:
        return [(FILES, "")]
    if values is not None:
        return [(f"{prefix}{value}", "") for value in values if value.startswith(last.removeprefix(prefix))]
    return [one for one in _next_words(node, last) if one[0].startswith(last)]


def rendered(found: Sequence[Candidate], shell: str) -> Iterator[str]:
    """A line for each, as the shell's script reads it."""
    for value, text in found:
        if not text or shell == "bash":
            yield value
        elif shell == "zsh":
            yield f"{value.replace(':', chr(92) + ':')}:{text}"
        else:
            yield f"{value}\t{text}"


def _with_strangers(tree: Node, words: Sequence[str]) -> Node:
    """The tree with the groups that other packages bring, where they matter; only for its own is one's code loaded."""
    ours: Node = tree["commands"]
    if len(words) > 1 and (words[0] in ours or words[0].startswith("-")):
        return tree
    from assay.cli.groups import find_groups  # noqa: PLC0415 - takes as long as all else here

    strangers = {name: point for name, point in find_groups().items() if name not in ours}
    if len(words) == 1:
        return {**tree, "commands": {**ours, **{name: {"help": ""} for name in strangers}}}
    if words[0] not in strangers:
        return tree
    from assay.cli.completion.tree import node_of  # noqa: PLC0415 - loads typer

    return {**tree, "commands": {**ours, words[0]: node_of(strangers[words[0]].load())}}


def _next_words(node: Node, last: str) -> Iterator[Candidate]:
    """Commands, and options once a dash is there or where there are no commands."""
    commands: Node = node.get("commands", {})
    for name, inner in commands.items():
        yield name, inner["help"]
    if last.startswith("-") or not commands:
        for flag, (text, _) in node.get("options", {}).items():
            yield flag, text


def _descend(tree: Node, words: Sequence[str]) -> Node:
    node = tree
    for word in words:
        commands: Node = node.get("commands", {})
        if word in commands:
            node = commands[word]
    return node


def _open_option(before: Sequence[str], last: str) -> tuple[str, str]:
    """The option whose value the last word is, if it may be one, and what of the word is not its value."""
    flag, equals, _ = last.partition("=")
    if equals and flag.startswith("-"):
        return _spelled(flag), f"{flag}="
    if before and before[-1] == "=":
        before = before[:-1]
    return (_spelled(before[-1]), "") if before and before[-1].startswith("-") else ("", "")


def _spelled(flag: str) -> str:
    return next(iter(spire_flags([flag])), flag)
