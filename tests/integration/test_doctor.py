"""`assay doctor` beside real daemons: well, broken in each of the ways it looks for, and with nothing there at all."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from assay.bundle import pem
from assay.cli.main import run
from assay.testing.authority import Authority
from assay.testing.deployment import ASSAY, Deployment
from assay_agent.storage.data import AgentData, encode
from assay_agent.storage.disk import FILE_NAME

# Of this machine, not of what is tested.
MACHINE = {"versions", "kernel", "open files", "clock synchronized", "clock steady"}


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        Path(folder).chmod(0o755)
        made = Deployment(Path(folder))
        try:
            made.start().register("/me")
            yield made
        finally:
            made.close()


class Doctor:
    """Runs `assay doctor` in this process."""

    def __init__(self, deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
        self._configs = {name: deployment.dir / f"{name}.conf" for name in ("server", "agent")}
        self._capsys = capsys

    def __call__(self, *arguments: str, status: int = 0, **configs: Path) -> dict[str, dict[str, str]]:
        """The checks by name, but those of the machine."""
        named = [f"--{name}-config={path}" for name, path in {**self._configs, **configs}.items()]
        assert run(["doctor", *named, "--output", "json", *arguments]) == status
        answer: Mapping[str, Any] = json.loads(self._capsys.readouterr().out)
        assert answer["healthy"] is (status == 0)
        for one in answer["checks"]:
            assert bool(one["advice"]) or one["status"] in {"ok", "skipped"}
        return {one["check"]: one for one in answer["checks"] if one["check"] not in MACHINE}


@pytest.fixture
def doctor(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(deployment, capsys)


def copied(deployment: Deployment, tmp_path: Path, name: str, old: str, new: str) -> Path:
    """That daemon's configuration with one thing otherwise."""
    text = (deployment.dir / f"{name}.conf").read_text()
    assert old in text
    path = tmp_path / f"{name}.conf"
    path.write_text(text.replace(old, new))
    return path


def test_all_is_well(doctor: Doctor) -> None:
    found = doctor()
    assert {name: one["status"] for name, one in found.items() if one["status"] != "ok"} == {}
    assert set(found) >= {
        "server config", "server data_dir", "server keys.json", "server datastore.sqlite3", "server disk",
        "server socket", "server health", "server open files", "server bundle", "server bundle vouches",
        "server TLS port", "server TLS name",
        "server clock skew", "agent config", "agent socket", "agent health", "workload API",
        "agent trust_bundle_path vouches", "agent bundle kept vouches", "agent SVID",
    }  # fmt: skip
    assert found["workload API"]["seen"].startswith("spiffe://example.test/me expires in ")


def test_people_get_lines_and_a_sum(deployment: Deployment) -> None:
    configs = [f"--{name}-config={deployment.dir / name}.conf" for name in ("server", "agent")]
    done = subprocess.run([ASSAY, "doctor", *configs], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert f"ok       server config: {deployment.dir}/server.conf is valid" in lines
    assert ", 0 failed, " in lines[-1]
    assert not done.stderr


def test_a_bundle_that_does_not_vouch_for_the_server_is_a_failure(
    doctor: Doctor, deployment: Deployment, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(pem.emit(Authority("example.test").bundle.x509_authorities))
    config = copied(deployment, tmp_path, "agent", f"{deployment.dir}/bundle.pem", str(other))
    found = doctor(agent=config, status=1)
    assert found["agent trust_bundle_path vouches"]["status"] == "failed"
    assert "assay bundle show" in found["agent trust_bundle_path vouches"]["advice"]
    assert found["agent bundle kept vouches"]["status"] == "ok"


def test_a_kept_bundle_that_does_not_vouch_is_not_to_be_written_over(
    doctor: Doctor, deployment: Deployment, tmp_path: Path
) -> None:
    others = AgentData(bundle=tuple(one.der for one in Authority("example.test").bundle.x509_authorities))
    (tmp_path / FILE_NAME).write_bytes(encode(others))
    config = copied(deployment, tmp_path, "agent", f'data_dir = "{deployment.dir}/agent"', f'data_dir = "{tmp_path}"')
    found = doctor(agent=config, status=1)["agent bundle kept vouches"]
    assert found["status"] == "failed"
    assert "write" not in found["advice"]
    assert "move the agent's data_dir away" in found["advice"]


def test_a_configuration_that_is_not_there_is_a_failure(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(agent=tmp_path / "none.conf", status=1)["agent config"]
    assert found["seen"] == f"{tmp_path}/none.conf: could not find config file"
    assert found["advice"] == "name it with --agent-config"


def test_a_bundle_that_is_none_is_a_failure(doctor: Doctor, deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "bundle.pem").write_text("Token: abc")
    config = copied(deployment, tmp_path, "agent", f"{deployment.dir}/bundle.pem", f"{tmp_path}/bundle.pem")
    found = doctor(agent=config, status=1)
    assert "unable to parse PEM bundle" in found["agent trust_bundle_path"]["seen"]


def test_another_trust_domain_is_a_failure(doctor: Doctor, deployment: Deployment, tmp_path: Path) -> None:
    config = copied(deployment, tmp_path, "agent", '"example.test"', '"other.test"')
    found = doctor(agent=config, status=1)
    assert "not spiffe://other.test/spire/server" in found["agent TLS name"]["seen"]


def test_keys_that_others_may_read_are_a_failure(doctor: Doctor, deployment: Deployment) -> None:
    keys = deployment.dir / "server" / "keys.json"
    keys.chmod(0o644)
    try:
        found = doctor(status=1)
    finally:
        keys.chmod(0o600)
    assert [name for name, one in found.items() if one["status"] == "failed"] == ["server keys.json"]
    assert found["server keys.json"]["advice"].startswith(f"chmod 0600 {keys}")


def test_a_configuration_that_is_wrong_is_told_with_its_faults_and_no_secrets(
    doctor: Doctor, deployment: Deployment, tmp_path: Path
) -> None:
    config = copied(deployment, tmp_path, "agent", "data_dir", 'join_token = "t0ps3cret"\n join_token_file')
    config.write_text(config.read_text().replace("log_level", "log_levle"))
    found = doctor(agent=config, status=1)["agent config"]
    assert 'did you mean "log_level"?' in found["seen"]
    assert "t0ps3cret" not in json.dumps(found)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_configuration_of_others_could_not_be_looked_at(
    doctor: Doctor, deployment: Deployment, tmp_path: Path
) -> None:
    config = copied(deployment, tmp_path, "agent", "data_dir", "data_dir")
    config.chmod(0)
    assert doctor(agent=config)["agent config"]["status"] == "skipped"


def test_warnings_of_the_configuration_are_handed_on(doctor: Doctor, deployment: Deployment, tmp_path: Path) -> None:
    config = copied(deployment, tmp_path, "server", "server {", "server {\n profiling_enabled = true\n")
    assert doctor(server=config)["server config"]["status"] == "warning"


def test_a_server_that_is_away_is_a_failure(doctor: Doctor, deployment: Deployment, tmp_path: Path) -> None:
    config = copied(deployment, tmp_path, "server", f"{deployment.dir}/admin.sock", f"{tmp_path}/none.sock")
    config.write_text(config.read_text().replace(f'"{deployment.port}"', '"1"'))
    found = doctor(server=config, status=1)
    assert "no server is running" in found["server socket"]["seen"]
    assert "no TLS server at 127.0.0.1:1" in found["server TLS port"]["seen"]


def test_with_nothing_there_it_says_what_it_could_not_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Daemons of this machine's own may be at the default places.
    none = [f"--{name}-config={tmp_path}/{name}.conf" for name in ("server", "agent")]
    assert run(["doctor", *none, "--server-socket", str(tmp_path / "s"), "--agent-socket", str(tmp_path / "a")]) == 1
    out = capsys.readouterr().out
    assert out.count("could not find config file") == 2
    assert out.count("is running: ") == 2


def test_without_configurations_it_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    for daemon in ("server", "agent"):
        assert f"skipped  {daemon} config: conf/{daemon}/{daemon}.conf is not there" in lines
