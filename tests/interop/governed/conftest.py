"""examples/verify_node and examples/verify_go as processes, and a real issuer for them."""

import os
import shlex
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.interop.governed.scripted import ScriptedIssuer

from assay.authorize import any_id
from assay.testing.deployment import TRUST_DOMAIN, Deployment, free_port
from assay.tls import X509Identity, client_context
from assay.workloadapi.blocking import X509Source

EXAMPLES = Path(__file__).parents[3] / "examples"
RESOURCE = "https://crm/mcp"
MAIL = "https://mail/mcp"
PATIENCE = 30.0

AGENT = "--model acme-4 --no-approvals --heartbeat 0 --trigger task_completed"
OF = "--owner person:alice@corp --purpose answer --env prod --tenant acme"
REGISTERED = f"""
owner add person:alice@corp
resource add {RESOURCE} --env prod --tenant acme --sensitivity internal
resource add {MAIL} --env prod --tenant acme --sensitivity internal
tool add crm.read --resource {RESOURCE} --action-class consequential_read --risk low
tool add mail.read --resource {MAIL} --action-class consequential_read --risk low
principal register bot --actor-type ai_agent {OF}
principal update bot --risk-class low --data-class tickets --tool crm.read --tool mail.read {AGENT}
principal activate bot
principal register billing --actor-type service {OF}
principal update billing --risk-class low --data-class tickets --tool crm.read
principal activate billing
"""


@dataclass
class Tool:
    """A tool's service that runs."""

    url: str

    def call(
        self, identity: X509Identity, *headers: tuple[str, str], action: str = "crm.read", presents: bool = True,
        **body: Any,  # noqa: ANN401 - JSON
    ) -> httpx.Response:  # fmt: skip
        """The answer to that caller; one with `presents` shows its certificate."""
        context = client_context(identity, any_id(), presents=presents)
        with httpx.Client(verify=context, timeout=PATIENCE, trust_env=False) as client:
            return client.post(f"{self.url}/{action}", headers=list(headers), json=body)


Opened = Callable[..., AbstractContextManager[Tool]]


@pytest.fixture(scope="session", params=["node", "go"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command of one of the two."""
    if request.param == "node":
        return [request.getfixturevalue("node_program"), str(EXAMPLES / "verify_node" / "service.mjs")]
    build: Callable[[Path], str] = request.getfixturevalue("go_program")
    return [build(EXAMPLES / "verify_go")]


@pytest.fixture(scope="session")
def opened(program: list[str]) -> Opened:
    """Runs it meanwhile, for an issuer, with a folder's certificate, key and bundle, as a tool for `https://crm/mcp`."""

    @contextmanager
    def run(issuer: str, folder: Path, *options: str) -> Iterator[Tool]:
        port, log = free_port(), folder / "tool.log"
        url = f"https://localhost:{port}"
        with log.open("wb") as out:
            process = subprocess.Popen([*program, issuer, RESOURCE, url, str(folder), *options], stdout=out, stderr=out)
        try:
            until = time.monotonic() + PATIENCE
            while not listening(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, "it does not listen"
                time.sleep(0.02)
            yield Tool(url)
        finally:
            process.kill()
            process.wait()

    return run


def listening(port: int) -> bool:
    """By the name, as callers come: it may stand for either family of addresses."""
    try:
        socket.create_connection(("localhost", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


class House:
    """A server with a token endpoint and an agent, where this process is `bot`, an AI agent, and a tool.

    `folder` has the tool's certificate, key and bundle, by the names that `assay api fetch x509 --write` gives them.
    """

    def __init__(self, folder: Path) -> None:
        self.deployment = Deployment(folder)
        port = free_port()
        self.issuer = f"https://localhost:{port}"
        settings = f'issuer = "{self.issuer}" bind_address = "127.0.0.1" bind_port = {port}'
        config = folder / "server.conf"
        config.write_text(config.read_text() + f"assay {{ token_endpoint {{ {settings} }} }}\n")
        self.folder = folder / "tool"
        self.folder.mkdir()

    def assay(self, line: str) -> str:
        """What that administrator's command prints."""
        return self.deployment.run(*shlex.split(line), "--socket-path", str(self.deployment.admin)).stdout

    def start(self) -> None:
        self.deployment.start()
        for line in REGISTERED.strip().splitlines():
            self.assay(line)
        for name, uid in (("bot", os.getuid()), ("billing", os.getuid() + 1)):
            selected = f"--parent-id {self.deployment.agent_id()} --selector unix:uid:{uid}"
            self.assay(f"principal bind {name} {selected}")
        self.deployment.register("/tool", dns_names=("localhost",))
        with self.identity("/tool") as source:
            write_svid(self.folder, source)

    @contextmanager
    def identity(self, path: str = "/principal/bot") -> Iterator[X509Source]:
        """One of this process's."""
        with X509Source(self.deployment.endpoint, spiffe_id=f"spiffe://{TRUST_DOMAIN}{path}") as source:
            yield source

    def jwt_svid(self, audience: str) -> str:
        """One of another workload."""
        return self.assay(f"jwt mint --spiffe-id spiffe://{TRUST_DOMAIN}/other --audience {audience}").strip()

    def tls(self) -> ssl.SSLContext:
        """For the token endpoint's public pages."""
        return ssl.create_default_context(cafile=str(self.folder / "bundle.0.pem"))


def write_svid(folder: Path, source: X509Source) -> None:
    svid = source.svid()
    assert svid.key is not None
    key = svid.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "svid.0.pem").write_text("".join(map(ssl.DER_cert_to_PEM_cert, svid.chain)))
    (folder / "svid.0.key").write_bytes(key)
    bundle = source.bundles()[svid.spiffe_id.trust_domain]
    (folder / "bundle.0.pem").write_text("".join(ssl.DER_cert_to_PEM_cert(one.der) for one in bundle.x509_authorities))


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        house = House(Path(folder))
        try:
            house.start()
            yield house
        finally:
            house.deployment.close()


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedIssuer]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder, ScriptedIssuer(Path(folder)).serving() as issuer:
        yield issuer


@pytest.fixture
def issuer(scripted: ScriptedIssuer) -> ScriptedIssuer:
    scripted.reset()
    return scripted


@pytest.fixture(scope="module")
def tool(opened: Opened, scripted: ScriptedIssuer) -> Iterator[Tool]:
    with opened(scripted.name, scripted.folder) as one:
        yield one


@pytest.fixture
def fresh(opened: Opened, issuer: ScriptedIssuer) -> Iterator[Tool]:
    """One that has seen no list yet."""
    with opened(issuer.name, issuer.folder) as one:
        yield one


@pytest.fixture
def pushed(opened: Opened, issuer: ScriptedIssuer, program: list[str]) -> Iterator[Tool]:
    """One that follows the issuer's events."""
    if len(program) == 1:
        pytest.skip("the tool in Go lives by status lists alone")
    with opened(issuer.name, issuer.folder, "--events") as one:
        yield one
