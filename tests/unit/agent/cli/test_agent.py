import json
from pathlib import Path

import pytest

from assay.cli.main import run

GOOD = ["--trust-domain", "a", "--server-address", "h", "--server-port", "8081", "--insecure-bootstrap"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No conf/agent/agent.conf here."""
    monkeypatch.chdir(tmp_path)


def test_flags_alone_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "validate", *GOOD]) == 0
    assert capsys.readouterr().out == "Assay agent configuration file is valid.\n"


def test_a_flag_that_is_wrong_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "validate", *GOOD, "-logLevel", "LOUD"]) == 1
    assert "--log-level: agent.log_level: must be one of debug" in capsys.readouterr().err


def test_the_default_file_is_spires(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "conf" / "agent").mkdir(parents=True)
    (tmp_path / "conf" / "agent" / "agent.conf").write_text('agent {\n trust_domain = "BAD"\n}\n')
    assert run(["agent", "validate", "-output", "json"]) == 1
    wheres = [one["where"] for one in json.loads(capsys.readouterr().out)["errors"]]
    assert "conf/agent/agent.conf:2" in wheres


def test_variables_are_expanded_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.conf"
    path.write_text(
        'agent {\n trust_domain = "$TD"\n server_address = "h"\n server_port = 1\n insecure_bootstrap = true\n}\n'
    )
    monkeypatch.setenv("TD", "example.org")
    assert run(["agent", "validate", "-config", str(path)]) == 1
    assert run(["agent", "validate", "-config", str(path), "-expandEnv"]) == 0


def test_what_a_plugin_is_told_is_looked_at_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.conf"
    path.write_text('agent {\n data_dir = "d"\n}\nplugins {\n NodeAttestor "x509pop" {\n  plugin_data {}\n }\n}\n')
    assert run(["agent", "validate", *GOOD, "-config", str(path)]) == 1
    assert f"{path}:6: plugins.NodeAttestor.x509pop.plugin_data: " in (err := capsys.readouterr().err)
    assert "private_key_path is required" in err


def test_files_that_telemetry_needs_are_looked_at_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.conf"
    path.write_text(
        'agent {\n data_dir = "d"\n}\ntelemetry {\n Prometheus {\n  port = 1\n'
        '  tls { use_spire_svid = true client_ca_file = "none.pem" }\n }\n}\n'
    )
    assert run(["agent", "validate", *GOOD, "-config", str(path)]) == 1
    assert "telemetry.Prometheus.tls: client_ca_file cannot be used: none.pem cannot be read" in capsys.readouterr().err


def test_a_token_on_the_command_line_is_never_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "validate", "-joinToken", "t0ps3cret", "-joinTokenFile", "/x"]) == 1
    captured = capsys.readouterr()
    assert "t0ps3cret" not in captured.out + captured.err


def test_run_refuses_what_validate_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "run", "--trust-domain", "a"]) == 1
    assert "agent.server_address: must be configured, in the file or with --server-address" in capsys.readouterr().err


def test_no_agent_is_no_healthy_agent(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "healthcheck", "-socketPath", "/nowhere"]) == 1
    assert "Agent is unhealthy: no agent is running" in capsys.readouterr().err
