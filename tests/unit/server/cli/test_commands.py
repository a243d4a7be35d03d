"""Every admin command but those on entries, against a real server with a real agent."""

import json
import re
from pathlib import Path
from typing import Any, Protocol

import pytest

from assay.bundle import jwks, pem
from assay.spiffeid import TrustDomain


class Cli(Protocol):
    err: str

    def __call__(self, *arguments: str, status: int = 0) -> str: ...
    def json(self, *arguments: str, status: int = 0) -> Any: ...  # noqa: ANN401 - JSON


pytestmark = pytest.mark.xdist_group("admin cli")


def test_a_token_is_made(cli: Cli) -> None:
    assert re.fullmatch(r"Token: [0-9a-f-]{36}\nWarning: Missing SPIFFE ID\.\n", cli("token", "generate"))
    named = cli("token", "generate", "-spiffeID", "spiffe://example.test/node", "-ttl", "60")
    assert re.fullmatch(r"Token: \S+\n", named)
    assert set(cli.json("token", "generate")) == {"value", "expires_at"}
    cli("token", "generate", "-spiffeID", "spiffe://other.test/x", status=1)
    assert cli.err.startswith("Error: ")


def test_the_bundle_is_shown_in_each_form(cli: Cli) -> None:
    (root,) = pem.parse(cli("bundle", "show").encode())
    whole = jwks.parse(TrustDomain("example.test"), cli("bundle", "show", "-format", "spiffe").encode())
    assert whole.x509_authorities == (root,)
    assert len(whole.jwt_authorities) == 1
    message = cli.json("bundle", "show")
    assert message["trust_domain"] == "example.test"


def test_nodes_are_listed_in_spires_words(cli: Cli) -> None:
    out = cli("node", "list")
    assert out.startswith(
        "Found 1 attested agent:\n\nSPIFFE ID         : spiffe://example.test/spire/agent/join_token/"
    )
    for label in ("Attestation type  : join_token", "Serial number     : ", "Can re-attest     : false"):
        assert f"\n{label}" in out
    assert re.search(r"\nExpiration time   : \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC\n", out)
    assert cli("node", "list", "--banned") == "No attested agents found\n"
    assert cli("node", "list", "-attestationType", "x509pop") == "No attested agents found\n"
    assert len(cli.json("node", "list", "--not-banned", "--cannot-reattest")["agents"]) == 1
    assert cli("node", "list", "-selector", "a:b") == "No attested agents found\n"


def test_an_agent_that_is_not_there_can_be_neither_banned_nor_evicted(cli: Cli) -> None:
    for verb in ("ban", "evict"):
        cli("node", verb, "-spiffeID", "spiffe://example.test/spire/agent/x509pop/none", status=1)
        assert cli.err.startswith("Error: agent not found")
        cli("node", verb, "-spiffeID", "none", status=1)
        assert "scheme is missing" in cli.err


def test_the_server_says_that_it_is_well(cli: Cli) -> None:
    assert cli("server", "healthcheck", "-shallow") == "Server is healthy.\n"
    assert cli("server", "healthcheck", "-verbose") == "Checking server health...\nServer is healthy.\n"
    assert cli.json("server", "healthcheck") == {"healthy": True}


def test_a_bad_file_is_refused_by_run_and_validate_alike(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text('server {\n trust_domian = "x"\n}\n')
    wanted = f'{path}:2: server.trust_domian: unknown key; did you mean "trust_domain"?'
    cli("server", "run", "-config", str(path), status=1)
    assert f"Error: {wanted}\n" in cli.err
    cli("server", "validate", "-config", str(path), status=1)
    assert f"Error: {wanted}\n" in cli.err
    assert cli.err.endswith("Assay server configuration file is invalid.\n")
    reasons = [one["reason"] for one in cli.json("server", "validate", "-config", str(path), status=1)["errors"]]
    assert 'unknown key; did you mean "trust_domain"?' in reasons


def test_a_good_file_is_valid(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text(json.dumps({"server": {"trust_domain": "a", "data_dir": "/d"}}))
    assert cli("server", "validate", "-config", str(path)) == "Assay server configuration file is valid.\n"
    cli("server", "validate", "-config", str(path), "-serverPort", "x", status=1)
    assert "--server-port: server.bind_port: must be a port number" in cli.err


def test_files_that_telemetry_needs_are_looked_at_as_well(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text(
        'server {\n trust_domain = "a"\n data_dir = "/d"\n}\ntelemetry {\n Prometheus {\n  port = 1\n'
        f'  tls {{ cert_file = "{tmp_path}/none.pem" key_file = "{tmp_path}/none.key" }}\n }}\n}}\n'
    )
    cli("server", "validate", "-config", str(path), status=1)
    assert f"telemetry.Prometheus.tls: {tmp_path}/none.pem cannot be read: No such file or directory\n" in cli.err


def test_what_a_plugin_is_told_is_looked_at_as_well(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text(
        f'server {{\n trust_domain = "a"\n data_dir = "{tmp_path}/d"\n}}\nplugins {{\n NodeAttestor "x509pop" {{\n'
        f'  plugin_data {{ ca_bundle_path = "{tmp_path}/none.pem" }}\n }}\n}}\n'
    )
    cli("server", "validate", "-config", str(path), status=1)
    wanted = f'{path}:7: plugins.NodeAttestor.x509pop.plugin_data: unable to load trust bundle "{tmp_path}/none.pem"'
    assert f"Error: {wanted}: No such file or directory\n" in cli.err


def test_an_agent_is_evicted_and_banned(cli: Cli) -> None:
    """Last in this file: the agent is shut out for good."""
    (agent,) = cli.json("node", "list")["agents"]
    spiffe_id = f"spiffe://{agent['id']['trust_domain']}{agent['id']['path']}"
    assert cli("node", "ban", "-spiffeID", spiffe_id) == "Agent banned successfully\n"
    assert "\nBanned            : true\n" in cli("node", "list", "--banned")
    assert cli.json("node", "evict", "-spiffeID", spiffe_id) == {}
    assert cli("node", "list") == "No attested agents found\n"
