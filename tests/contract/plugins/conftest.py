"""Plugins that have to keep the contracts: the built-in ones, and those of another package, by its entry points."""

from pathlib import Path

import pytest

from assay.plugin.external import Host
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay.testing.distribution import install

ACME = Path(__file__).with_name("acme.py")
ROOT = Path(__file__).parents[3]
ENTRY_POINTS = {
    "assay.agent.WorkloadAttestor": {"acme": "acme_assay:ProgramAttestor"},
    "assay.agent.NodeAttestor": {"acme": "acme_assay:PasswordAttestor"},
    "assay.agent.KeyManager": {"acme": "acme_assay:CountingKeys"},
    "assay.agent.SVIDStore": {"acme": "acme_assay:FolderStore"},
    "assay.server.NodeAttestor": {"acme": "acme_assay:PasswordJudge"},
    "assay.server.KeyManager": {"acme": "acme_assay:CountingKeys"},
}


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the package installed, here and for child processes; the folder it is in."""
    folder = tmp_path / "site-packages"
    install(folder, "acme-assay", ACME.read_text(), ENTRY_POINTS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the package of docs/plugins.md installed."""
    code = (ROOT / "docs" / "plugins.md").read_text().partition("```python\n")[2].partition("```")[0]
    points = {"assay.agent.WorkloadAttestor": {"acme": "acme_documented:ProgramAttestor"}}
    install(tmp_path / "site-packages", "acme-documented", code, points)
    monkeypatch.syspath_prepend(tmp_path / "site-packages")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(TrustDomain("example.org"), FakeClock(), tmp_path)
