import subprocess
import sys

import pytest

from assay.cli.completion import ENVIRONMENT, FILES
from assay.cli.completion.answer import candidates, load_tree, rendered
from assay.cli.groups import DESCRIPTIONS

TREE = {
    "options": {"--version": ["Show it", None], "--shell": ["Which", ["bash", "zsh"]]},
    "commands": {
        "node": {
            "help": "Nodes",
            "options": {"--help": ["Help", None]},
            "commands": {
                "list": {
                    "help": "List",
                    "options": {
                        "--output": ["How", ["pretty", "json"]], "--from": ["Where", FILES], "--spiffe-id": ["Who", []],
                        "--all": ["All", None], "--match-on": ["How", ["any", "exact"]],
                    },
                }
            },
        },
        "up": {"help": "Up", "options": {"--once": ["Once", None]}},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", ["node", "up"]),
        ("n", ["node"]),
        ("-", ["--version", "--shell"]),
        ("--shell ", ["bash", "zsh"]),
        ("node ", ["list"]),
        ("node -", ["--help"]),
        ("node list ", ["--output", "--from", "--spiffe-id", "--all", "--match-on"]),
        ("node list --o", ["--output"]),
        ("node list --output ", ["pretty", "json"]),
        ("node list --output p", ["pretty"]),
        ("node list --output=", ["--output=pretty", "--output=json"]),
        ("node list --output=j", ["--output=json"]),
        ("node list --output =", ["pretty", "json"]),
        ("node list --output = j", ["json"]),
        ("node list --from ", [FILES]),
        ("node list --from=/x", [FILES]),
        ("node list --spiffe-id ", []),
        ("node list --spiffe-id spiffe://x/y --a", ["--all"]),
        ("node list --all ", ["--output", "--from", "--spiffe-id", "--all", "--match-on"]),
        ("node list -matchOn ", ["any", "exact"]),
        ("node list -matchOn=e", ["-matchOn=exact"]),
        ("node list --unknown ", ["--output", "--from", "--spiffe-id", "--all", "--match-on"]),
        ("up ", ["--once"]),
        ("nonsense ", ["node", "up"]),
    ],
)
def test_what_could_come_next(line: str, found: list[str]) -> None:
    assert [value for value, _ in candidates(TREE, line.split(" "))] == found


def test_each_shell_reads_its_own_lines() -> None:
    found = [("a:b", "Help"), ("c", "")]
    assert list(rendered(found, "bash")) == ["a:b", "c"]
    assert list(rendered(found, "zsh")) == ["a\\:b:Help", "c"]
    assert list(rendered(found, "fish")) == ["a:b\tHelp", "c"]


def test_every_group_and_command_is_in_the_tree() -> None:
    tree = load_tree()
    assert list(tree["commands"]) == list(DESCRIPTIONS)
    assert list(tree["commands"]["node"]["commands"]) == ["list", "count", "show", "ban", "evict", "purge"]
    assert tree["commands"]["entry"]["commands"]["show"]["options"]["--output"][1] == ["pretty", "json"]
    assert tree["commands"]["entry"]["commands"]["create"]["options"]["--data"][1] == FILES


ASK = """
import os, sys
os.environ["{name}"] = "bash"
sys.argv = ["assay", {words}]
from assay.cli.__main__ import main
main()
print(*sys.modules)
"""


def asked(*words: str) -> tuple[list[str], set[str]]:
    code = ASK.format(name=ENVIRONMENT, words=", ".join(map(repr, words)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lines, modules = done.stdout.splitlines()
    return lines, set(modules.split())


def test_a_question_loads_no_command_and_none_of_our_libraries() -> None:
    lines, modules = asked("entry", "sh")
    assert lines == ["show"]
    assert modules.isdisjoint({"typer", "grpc", "google.protobuf", "cryptography", "importlib.metadata", "rich"})
    assert not any(name.startswith(("assay_server", "assay_agent")) for name in modules)


STRANGER = """
import typer
app = typer.Typer()
@app.command()
def greet(*, loudly: bool = False) -> None: pass
@app.command()
def leave() -> None: pass
"""


def test_groups_of_other_packages_are_completed_by_their_own_code(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "stranger.py").write_text(STRANGER)
    info = folder / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[assay.commands]\nstranger = stranger:app\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    assert asked("str")[0] == ["stranger"]
    lines, modules = asked("stranger", "greet", "--l")
    assert lines == ["--loudly", "--no-loudly"][: len(lines)]
    assert "--loudly" in lines
    assert "grpc" not in modules
