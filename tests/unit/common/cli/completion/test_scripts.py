"""The scripts in the shells they are for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assay.cli.completion.scripts import SCRIPTS, install, shell_named
from assay.cli.main import run
from assay.errors import InvalidArgumentError

BIN = str(Path(sys.executable).parent)


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def ran(command: list[str], home: Path, **env: str) -> str:
    environment = {"HOME": str(home), "PATH": f"{BIN}:/usr/bin:/bin", "TERM": "dumb", **env}
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=environment, check=True)
    assert not done.stderr
    return done.stdout


BASH = """
ask() { COMP_WORDS=(assay "$@"); COMP_CWORD=$#; COMPREPLY=(); _assay_completion assay; echo "${COMPREPLY[@]}"; }
source ~/.bashrc
ask no
ask node ""
ask entry show --output = j
complete -p assay
"""


def test_bash_completes(tmp_path: Path) -> None:
    install("bash", tmp_path)
    assert ran([shell("bash"), "--norc", "-c", BASH], tmp_path).splitlines() == [
        "node",
        "list count show ban evict purge",
        "json",
        "complete -F _assay_completion assay",
    ]


def test_fish_completes(tmp_path: Path) -> None:
    install("fish", tmp_path)
    (tmp_path / "some-file").touch()
    questions = [
        "assay no",
        "assay entry show --output ",
        f"assay entry create --data {tmp_path}/so",
        "assay jwt mint --ttl ",
    ]
    code = "; echo @@; ".join(f'complete -C "{one}"' for one in questions)
    first, second, third, fourth = ran([shell("fish"), "-c", code], tmp_path).split("@@\n")
    assert first.startswith("node\tList, ")
    assert sorted(second.split()) == ["json", "pretty"]
    assert third == f"{tmp_path}/some-file\n"
    assert fourth == ""


# What zsh's own completion would be asked for is written down in place of being shown.
ZSH = """
autoload -Uz compinit; compinit -u -D
source ~/script
_describe() { print -l -- "${(@P)2}"; }
_files() { print files; }
ask() { words=(assay "$@"); CURRENT=${#words}; _assay; }
ask no
ask entry show --output ""
ask entry create --data ""
ask jwt mint --ttl ""
print ${_comps[assay]}
"""


def test_zsh_completes(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(SCRIPTS["zsh"])
    lines = ran([shell("zsh"), "-f", "-c", ZSH], tmp_path).splitlines()
    assert lines == [lines[0], "pretty", "json", "files", "_assay"]
    assert lines[0].startswith("node:List, ")


def test_installing_twice_says_it_once(tmp_path: Path) -> None:
    (tmp_path / ".zshrc").write_text("no newline")
    for _ in range(2):
        assert install("zsh", tmp_path) == tmp_path / ".zfunc" / "_assay"
        install("bash", tmp_path)
    rc = (tmp_path / ".zshrc").read_text()
    assert rc == "no newline\nfpath+=~/.zfunc; autoload -Uz compinit; compinit\n"
    assert (tmp_path / ".bashrc").read_text() == f"source '{tmp_path}/.bash_completions/assay.sh'\n"


def test_the_command_shows_and_installs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["--show-completion", "fish"]) == 0
    assert capsys.readouterr().out == SCRIPTS["fish"]
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert shell_named("") in SCRIPTS
    assert run(["--install-completion", "fish"]) == 0
    assert (
        capsys.readouterr().out
        == f"Completion written to {tmp_path}/.config/fish/completions/assay.fish; new shells have it.\n"
    )
    assert run(["--show-completion", "tcsh"]) == 1
    assert "name one of bash, zsh, fish" in capsys.readouterr().err


def test_without_a_name_it_is_the_shell_it_is_run_from(tmp_path: Path) -> None:
    code = "assay --show-completion; exit"
    assert ran([shell("bash"), "--norc", "-c", code], tmp_path, SHELL="/bin/fish") == SCRIPTS["bash"]
    assert ran([sys.executable, "-c", SHOW], tmp_path, SHELL="/bin/fish") == SCRIPTS["fish"]


SHOW = "import subprocess; subprocess.run(['assay', '--show-completion'], check=True)"


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("a file")
    with pytest.raises(InvalidArgumentError, match=r"cannot write .*\.config"):
        install("fish", tmp_path)
