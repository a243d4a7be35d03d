"""Plugins by name."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from assay.config.plugin import Plugin
from assay.errors import InvalidArgumentError
from assay.spiffeid import TrustDomain
from assay.testing.authority import Ca
from assay.testing.clock import FakeClock
from assay_server.attestation.tokens import JoinTokens
from assay_server.datastore.sql.store import SqlStore
from assay_server.plugins.builtin import Host, node_attestors

TD = TrustDomain("example.org")


@pytest.fixture
def host(store: SqlStore, clock: FakeClock, tmp_path: Path) -> Host:
    return Host(TD, clock, JoinTokens(store, clock, TD), tmp_path)


def test_what_is_configured_is_made(host: Host, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(Ca.create("root").certificate.public_bytes(Encoding.PEM))
    plugins = [Plugin("join_token"), Plugin("x509pop", {"ca_bundle_path": str(bundle)})]
    assert list(node_attestors(plugins, host)) == ["join_token", "x509pop"]
    assert node_attestors([], host) == {}


def test_an_unknown_plugin_is_named(host: Host) -> None:
    with pytest.raises(InvalidArgumentError, match='no NodeAttestor plugin "sshpop", built in or installed'):
        node_attestors([Plugin("sshpop")], host)


def test_wrong_settings_name_the_plugin(host: Host) -> None:
    with pytest.raises(InvalidArgumentError, match='NodeAttestor "x509pop": one of ca_bundle_path'):
        node_attestors([Plugin("x509pop")], host)
