import subprocess
import sys
from importlib.metadata import version

import pytest

from assay.cli.groups import DESCRIPTIONS, find_groups
from assay.cli.main import report, run
from assay.config.fault import ConfigError, Fault
from assay.errors import UnavailableError

LOADED = "import sys; from assay.cli.main import run; run({}); print(*sorted(sys.modules))"


def loaded_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(list(arguments))], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_lists_every_group_and_loads_no_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in DESCRIPTIONS)
    assert {name.partition(".")[0] for name in loaded_by("--help")}.isdisjoint({"assay_server", "assay_agent", "grpc"})


def test_no_arguments_are_a_call_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Commands" in capsys.readouterr().out


def test_the_groups_are_those_that_are_described() -> None:
    assert list(find_groups()) == list(DESCRIPTIONS)


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_each_group_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"Usage: assay {name}" in capsys.readouterr().out


def test_the_doctors_help_loads_nothing_that_it_would_need_to_look() -> None:
    loaded = loaded_by("doctor", "--help")
    assert loaded.isdisjoint({"grpc", "cryptography", "assay_server", "assay_agent"})


@pytest.mark.parametrize("command", [("entry", "show"), ("node", "list"), ("x509", "mint")])
def test_a_command_that_asks_a_server_loads_nothing_that_reads_configurations(command: tuple[str, str]) -> None:
    assert loaded_by(*command, "--help").isdisjoint({"assay.config.check", "sqlalchemy", "uvloop"})


def test_running_a_daemon_draws_no_tables() -> None:
    loaded = loaded_by("server", "validate", "--config", "/nowhere")
    assert "rich.table" not in loaded
    assert "grpc" not in loaded


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["foo"], "No such command 'foo'"),
        (["server", "rn"], "No such command 'rn'"),
        (["server", "run", "--cofnig", "x"], "No such option"),
        (["node", "ban"], "Missing option '--spiffe-id'"),
        (["token", "generate", "--ttl", "x"], "Invalid value for '--ttl'"),
        (["token", "generate", "--ttl", "0"], "Invalid value for '--ttl'"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert words in capsys.readouterr().err


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"assay {version('assay')}\n"


def test_a_refusal_is_status_1_with_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["entry", "show", "-socketPath", "/nowhere/api.sock"]) == 1
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.splitlines() == [
        "Error: no server is running: /nowhere/api.sock does not exist",
        "Hint: start one with `assay server run`, or name its socket with --socket-path",
    ]


def test_faults_are_reported_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    report(ConfigError([Fault("f:1", "a", "x"), Fault("f:2", "b", "y")]))
    report(UnavailableError("gone"))
    assert capsys.readouterr().err == "Error: f:1: a: x\nError: f:2: b: y\nError: gone\n"


def test_fetch_alone_is_fetch_x509(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["api", "fetch", "-socketPath", "/nowhere/api.sock"]) == 1
    assert "no agent is running" in capsys.readouterr().err
    assert run(["api", "fetch", "--help"]) == 0
    assert "x509" in capsys.readouterr().out


def test_it_can_be_run_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "assay.cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("assay ")


def test_a_closed_pipe_is_no_traceback() -> None:
    code = "import sys; from assay.cli.main import main; sys.argv = ['assay', '--help']; main()"
    process = subprocess.Popen(
        ["/bin/sh", "-c", '"$0" -c "$1" | true', sys.executable, code], stderr=subprocess.PIPE, text=True
    )
    _, err = process.communicate(timeout=30)
    assert "Traceback" not in err
