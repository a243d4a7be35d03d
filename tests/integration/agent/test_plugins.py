"""A package of plugins that is installed and named in the configuration: both daemons, started for real."""

import subprocess
from pathlib import Path

import pytest

from assay.testing.deployment import ASSAY, Deployment
from assay.testing.distribution import install
from assay.testing.workload import svids

ACME = Path(__file__).parents[2] / "contract" / "plugins" / "acme.py"
ENTRY_POINTS = {
    "assay.agent.WorkloadAttestor": {"acme": "acme_assay:ProgramAttestor"},
    "assay.agent.NodeAttestor": {"acme": "acme_assay:PasswordAttestor"},
    "assay.agent.KeyManager": {"acme": "acme_assay:CountingKeys"},
    "assay.agent.SVIDStore": {"acme": "acme_assay:FolderStore"},
    "assay.server.NodeAttestor": {"acme": "acme_assay:PasswordJudge"},
    "assay.server.KeyManager": {"acme": "acme_assay:CountingKeys"},
}
SERVER = """
plugins {
    KeyManager "acme" { plugin_data {} }
    NodeAttestor "acme" { plugin_data { password = "right" } }
}
"""
AGENT = """
plugins {
    KeyManager "acme" { plugin_data {} }
    NodeAttestor "acme" { plugin_data { name = "node-1", password = "%s" } }
    WorkloadAttestor "acme" { plugin_data {} }
    SVIDStore "acme" { plugin_data { folder = "%s" } }
}
"""


@pytest.fixture
def house(deployments: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment that uses nothing but the package's plugins; nothing runs yet."""
    install(tmp_path / "site-packages", "acme-assay", ACME.read_text(), ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-packages"))
    made: Deployment = deployments()  # type: ignore[operator]
    use(made, "server", SERVER)
    use(made, "agent", AGENT % ("right", made.dir))
    return made


def use(deployment: Deployment, daemon: str, plugins: str) -> None:
    config = deployment.dir / f"{daemon}.conf"
    config.write_text(config.read_text().partition("plugins {")[0] + plugins)


def test_every_seam_is_another_packages(house: Deployment) -> None:
    house.start_server()
    house.write_bundle()
    house.start_agent()
    agent_id = house.agent_id()
    assert agent_id == "spiffe://example.test/spire/agent/acme/node-1"
    mine = Path("/proc/self/comm").read_text().strip()
    for path, *flags in (("/me", f"acme:comm:{mine}"), ("/file", "acme:name:stored", "--store-svid")):
        spiffe_id = f"spiffe://example.test{path}"
        house.cli("entry", "create", "--spiffe-id", spiffe_id, "--parent-id", agent_id, "--selector", *flags)
    house.until("agent", lambda: "spiffe://example.test/me" in svids(house.api))
    house.until("agent", (house.dir / "stored").exists)
    assert (house.dir / "stored").read_text() == "spiffe://example.test/file"
    assert "x509-CA-A" in (house.dir / "server" / "acme-keys").read_text()
    assert (house.dir / "agent" / "acme-keys").read_text()


@pytest.mark.parametrize(
    ("plugins", "fault"),
    [
        ('plugins {\n WorkloadAttestor "acne" { plugin_data {} }\n}', 'unknown plugin; did you mean "acme"?'),
        ('plugins {\n WorkloadAttestor "acme" { plugin_data { x = 1 } }\n}', "unknown key x"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(house: Deployment, plugins: str, fault: str) -> None:
    use(house, "agent", plugins)
    command = [ASSAY, "agent", "validate", "--config", str(house.dir / "agent.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert fault in done.stderr
