"""A deployment with everything said that can be said: metrics and trail tell what was done, and no secret of it."""

import json
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from assay.testing.deployment import Deployment, free_port

SECRET_IN_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)\n-----END", re.DOTALL)


class Told(Deployment):
    """A server that logs at DEBUG, audits twice and is scraped; its agent logs at DEBUG as well."""

    def __init__(self, folder: Path) -> None:
        self.metrics_port = free_port()
        super().__init__(folder, server="audit_log_enabled = true")
        with (folder / "server.conf").open("a") as conf:
            conf.write(f'assay {{ audit_log_file = "{folder}/audit.json" }}\n')
            conf.write(f"telemetry {{ Prometheus {{ port = {self.metrics_port} }} InMem {{}} }}\n")

    def start_with_token(self) -> str:
        """As `start`; the token that the agent used."""
        self.start_server()
        self.write_bundle()
        token = self.operator.join_token()
        self.start_agent("--join-token", token)
        return token

    def metrics(self) -> str:
        url = f"http://localhost:{self.metrics_port}/metrics"
        text: bytes = urllib.request.urlopen(url, timeout=10).read()
        return text.decode()

    def trail(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.dir / "audit.json").read_text().splitlines()]

    def written(self) -> str:
        return self.log("server") + self.log("agent") + (self.dir / "audit.json").read_text() + self.metrics()


@pytest.fixture
def told() -> Iterator[Told]:
    with TemporaryDirectory(prefix="assay-") as folder:
        deployment = Told(Path(folder))
        yield deployment
        deployment.close()


def pem_secrets(folder: Path) -> list[str]:
    """The first whole line of every private key in a folder."""
    texts = [path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()]
    return [body.splitlines()[0] for text in texts for body in SECRET_IN_PEM.findall(text.replace("\\n", "\n"))]


def stored_secrets(folder: Path) -> list[str]:
    """Of every key that a daemon keeps (PKCS #8 in base64) the part that is secret."""
    return [text[48:88] for text in json.loads((folder / "keys.json").read_text())["keys"].values()]


def test_everything_is_told_but_secrets(told: Told) -> None:
    used = told.start_with_token()
    told.register("/web")
    unused = told.cli("token", "generate")["value"]
    minted = told.run("jwt", "mint", "--spiffe-id", "spiffe://example.test/w", "--audience", "a",
                      "--socket-path", str(told.admin)).stdout  # fmt: skip
    fetched = told.run("api", "fetch", "jwt", "--audience", "b", "--socket-path", str(told.api)).stdout
    (told.dir / "minted").mkdir()
    told.run("x509", "mint", "--spiffe-id", "spiffe://example.test/w", "--write", str(told.dir / "minted"),
             "--socket-path", str(told.admin))  # fmt: skip
    jwts = set(re.findall(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", minted + fetched))
    stored = [*stored_secrets(told.dir / "server"), *stored_secrets(told.dir / "agent")]
    keys = [*pem_secrets(told.dir / "minted"), *stored]
    text = told.written()
    assert len(jwts) == 2
    assert len(stored) >= 3
    assert len(keys) > len(stored)
    assert unused not in text
    # The agent is named after the token it used up, as in SPIRE; the token is said nowhere else.
    assert used not in text.replace(f"/join_token/{used}", "")
    for secret in (*(part for jwt in jwts for part in jwt.split(".")[1:]), *keys):
        assert secret not in text

    done = {(one["service"], one["method"], one["status"]) for one in told.trail()}
    assert {
        ("agent.v1.Agent", "AttestAgent", "success"),
        ("agent.v1.Agent", "CreateJoinToken", "success"),
        ("assay.sync.v1.Sync", "Watch", "success"),
        ("entry.v1.Entry", "BatchCreateEntry", "success"),
        ("svid.v1.SVID", "BatchNewX509SVID", "success"),
        ("svid.v1.SVID", "MintJWTSVID", "success"),
        ("svid.v1.SVID", "MintX509SVID", "success"),
        ("svid.v1.SVID", "NewJWTSVID", "success"),
    } <= done
    attested = next(one for one in told.trail() if one["method"] == "AttestAgent")
    assert attested["object"] == {"node_attestor_type": "join_token", "agent_id": told.agent_id()}
    issued = next(one for one in told.trail() if one["method"] == "NewJWTSVID")
    assert issued["caller"]["spiffe_id"] == told.agent_id()
    assert issued["object"].keys() == {"entry_id", "audience", "spiffe_id", "ttl"}

    told.processes["server"].send_signal(signal.SIGUSR1)
    told.until("server", lambda: "[C] 'spire_server.rpc.svid.v1.svid.mint_jwtsvid.OK." in told.log("server"))

    lines = [line for line in told.log("server").splitlines() if "type=audit" in line]
    assert len(lines) == sum(one["status"] != "denied" for one in told.trail())
    for name in (
        "rpc_agent_v1_agent_attest_agent{host=", "rpc_svid_v1_svid_new_jwtsvid_elapsed_time_count{host=",
        "datastore_registration_entry_create{host=", "server_ca_sign_jwt_svid{host=", "server_ca_sign_x509_svid{host=",
        "ca_manager_x509_ca_activate{host=", "manager_jwt_key_activate{host=", "svid_rotate{host=", "started{host=",
        "registration_entry_manager_prune{host=", "uptime_in_ms{host=", "entry_cache_reload{host=",
        "server_key_manager_generate_key{host=", "ca_manager_bundle_prune{host=",
        "entry_entries_by_entryid_cache_count{host=", "manager_x509_ca_rotate_ttl{host=",
    ):  # fmt: skip
        assert f"\nspire_server_{name}" in told.metrics(), name
