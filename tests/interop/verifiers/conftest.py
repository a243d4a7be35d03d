"""examples/verify_node and examples/verify_go as processes."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay.authorize import any_id
from assay.testing.deployment import free_port
from assay.tls import X509Identity, client_context

EXAMPLES = Path(__file__).parents[3] / "examples"
RESOURCE = "https://crm/mcp"
PATIENCE = 30.0


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


Opened = Callable[[str, Path], AbstractContextManager[Tool]]


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
    def run(issuer: str, folder: Path) -> Iterator[Tool]:
        port, log = free_port(), folder / "tool.log"
        url = f"https://localhost:{port}"
        with log.open("wb") as out:
            process = subprocess.Popen([*program, issuer, RESOURCE, url, str(folder)], stdout=out, stderr=out)
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
