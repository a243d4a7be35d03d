"""What an agent's configuration says to be looked at."""

import os
from pathlib import Path

import pytest

from assay_agent.cli.doctor import DAEMON

CONFIG = """
agent {
    trust_domain = "example.org"
    server_address = "localhost"
    server_port = 8081
    insecure_bootstrap = true
    data_dir = "%(dir)s"
}
plugins {
    KeyManager "disk" { plugin_data { directory = "%(dir)s/keys" } }
    SVIDStore "disk" { plugin_data { directory = "%(dir)s/svids" } }
}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "agent.conf"
    path.write_text(CONFIG % {"dir": tmp_path})
    return path


def test_keys_in_the_disk_store_are_private_as_others_are(config: Path, tmp_path: Path) -> None:
    assert DAEMON.load(config, None).keys == [tmp_path / "keys" / "keys.json"]
    for name in ("web", ".web.0123abcd"):
        (tmp_path / "svids" / name).mkdir(parents=True)
        (tmp_path / "svids" / name / "svid.key").touch()
    assert DAEMON.load(config, None).keys == [
        tmp_path / "keys" / "keys.json",
        tmp_path / "svids" / "web" / "svid.key",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_keys_that_were_given_to_another_are_that_ones(config: Path, tmp_path: Path) -> None:
    (tmp_path / "svids" / "web").mkdir(parents=True)
    key = tmp_path / "svids" / "web" / "svid.key"
    key.touch()
    os.chown(key, 4321, -1)
    assert key not in DAEMON.load(config, None).keys
