"""What a daemon says when it will not start, as whoever starts it sees it: status 1, file, line, key, reason."""

import subprocess
from pathlib import Path

import pytest

from assay.testing.deployment import ASSAY, Deployment


@pytest.fixture
def files(tmp_path: Path) -> Deployment:
    """Configurations that are right; nothing runs."""
    return Deployment(tmp_path)


@pytest.mark.parametrize(
    ("daemon", "old", "new", "words"),
    [
        pytest.param(
            "server", 'trust_domain = "example.test"', 'trust_domian = "example.test"',
            ["server.conf:6", "trust_domian", 'did you mean "trust_domain"'], id="unknown key",
        ),
        pytest.param(
            "server", 'trust_domain = "example.test"', "",
            ["server.conf", "trust_domain"], id="missing key",
        ),
        pytest.param(
            "server", 'log_level = "DEBUG"', 'default_x509_svid_ttl = "soon"',
            ["server.conf:8", "default_x509_svid_ttl", "soon"], id="not a duration",
        ),
        pytest.param("server", "server {", "server { {", ["server.conf:2"], id="syntax"),
        pytest.param(
            "agent", 'NodeAttestor "join_token"', 'NodeAttestor "aws_iid"',
            ["agent.conf:16", "aws_iid"], id="plugin that is not built",
        ),
        pytest.param(
            "agent", 'trust_domain = "example.test"', 'trust_domain = "Not A Domain"',
            ["agent.conf:9", "trust_domain"], id="not a trust domain",
        ),
    ],
)  # fmt: skip
def test_a_broken_configuration_is_refused_with_its_place(
    files: Deployment, daemon: str, old: str, new: str, words: list[str]
) -> None:
    conf = files.dir / f"{daemon}.conf"
    text = conf.read_text()
    assert old in text
    conf.write_text(text.replace(old, new))
    for verb in ("run", "validate"):
        done = assay(files, daemon, verb, "--config", str(conf))
        assert done.returncode == 1, done.stderr
        for word in words:
            assert word in done.stderr
        assert "Traceback" not in done.stderr
    assert not (files.dir / daemon).exists()


def test_a_configuration_that_is_not_there(files: Deployment) -> None:
    done = assay(files, "server", "run", "--config", "none.conf")
    assert done.returncode == 1
    assert "none.conf" in done.stderr


def assay(files: Deployment, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ASSAY, *args], cwd=files.dir, capture_output=True, text=True, check=False)
