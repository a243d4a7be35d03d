"""The programs of docs/verify-jwt.md, mtls.md, asgi.md and verify-task-token.md, as they stand there."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from assay.svid.dpop import DpopKey
from assay.testing import InMemoryTrustDomain, WorkloadApiServer, WrongJwtSvid, WrongTaskToken

DOCS = Path(__file__).parents[2] / "docs"
FILE = re.compile(r"^```python\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PAIRS = [
    ("asyncio_server.py", "asyncio_client.py"),
    ("asyncio_server.py", "blocking_client.py"),
    ("blocking_server.py", "blocking_client.py"),
    ("blocking_server.py", "asyncio_client.py"),
    ("uvicorn_server.py", "httpx_client.py"),
]


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain()


@contextmanager
def agent(domain: InMemoryTrustDomain, path: str) -> Iterator[dict[str, str]]:
    """The environment of a program that is that workload."""
    with WorkloadApiServer(domain) as server:
        server.serve(path)
        kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONWARNINGS"}}
        yield {**kept, "SPIFFE_ENDPOINT_SOCKET": server.address}


@pytest.fixture
def orders(domain: InMemoryTrustDomain) -> Iterator[dict[str, str]]:
    with agent(domain, "/orders") as env:
        yield env


@pytest.fixture
def web(domain: InMemoryTrustDomain) -> Iterator[dict[str, str]]:
    with agent(domain, "/web") as env:
        yield env


@pytest.fixture
def other(domain: InMemoryTrustDomain) -> Iterator[dict[str, str]]:
    with agent(domain, "/other") as env:
        yield env


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def write(page: str, folder: Path) -> None:
    for name, text in FILE.findall((DOCS / page).read_text()):
        (folder / name).write_text(text)


def run(folder: Path, env: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@contextmanager
def running(folder: Path, env: dict[str, str], port: int, *command: str) -> Iterator[Path]:
    """A server that listens; the file has what it printed."""
    out = folder / "server.out"
    with (
        out.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-W", "error", *command], cwd=folder, env=env, stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while True:
                assert process.poll() is None, out.read_text()
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield out
        finally:
            process.terminate()


def test_a_token_is_verified_in_three_lines(
    tmp_path: Path, domain: InMemoryTrustDomain, orders: dict[str, str]
) -> None:
    write("verify-jwt.md", tmp_path)
    done = run(tmp_path, orders, "verify.py", domain.jwt_svid("/web", "orders"))
    assert (done.stdout, done.stderr) == ("spiffe://example.org/web\n", "")
    refused = run(tmp_path, orders, "verify.py", domain.jwt_svid("/web", "somebody-else"))
    assert refused.returncode == 1
    assert "SvidRefusedError" in refused.stderr


def test_why_a_token_is_refused(tmp_path: Path, domain: InMemoryTrustDomain, orders: dict[str, str]) -> None:
    write("verify-jwt.md", tmp_path)
    good = run(tmp_path, orders, "refused.py", domain.jwt_svid("/web", "spiffe://example.org/orders"))
    assert good.stdout == "spiffe://example.org/web ['spiffe://example.org/orders']\n"
    expired = run(tmp_path, orders, "refused.py", domain.wrong_jwt_svid(WrongJwtSvid.EXPIRED, "/web", "orders"))
    assert expired.stdout.splitlines()[:2] == ["expired", "token has expired"]
    stranger = run(tmp_path, orders, "refused.py", domain.jwt_svid("/other", "orders"))
    assert stranger.stdout.splitlines()[0] == "not_authorized"
    assert stranger.stdout.splitlines()[2] == "wanted: one of spiffe://example.org/web"


@pytest.mark.parametrize(("server", "client"), PAIRS)
def test_mtls(
    tmp_path: Path,
    orders: dict[str, str],
    web: dict[str, str],
    other: dict[str, str],
    port: int,
    server: str,
    client: str,
) -> None:
    write("mtls.md", tmp_path)
    with running(tmp_path, orders, port, server, str(port)) as out:
        done = run(tmp_path, web, client, str(port))
        assert (done.stdout, done.stderr) == ("spiffe://example.org/orders says hello spiffe://example.org/web\n", "")
        assert "hello" not in run(tmp_path, other, client, str(port)).stdout
    if server == "blocking_server.py":
        assert '"spiffe://example.org/other" is not authorized' in out.read_text()
    # The server is who the client wants, or is told nothing.
    with running(tmp_path, other, port, server, str(port)):
        refused = run(tmp_path, web, client, str(port))
        assert refused.returncode == 1
        assert "peer refused" in refused.stderr


def test_grpc(tmp_path: Path, orders: dict[str, str], web: dict[str, str], other: dict[str, str], port: int) -> None:
    write("mtls.md", tmp_path)
    with running(tmp_path, orders, port, "grpc_server.py", str(port)) as out:
        done = run(tmp_path, web, "grpc_client.py", str(port))
        assert done.stdout == "SERVING\n", done.stderr
        refused = run(tmp_path, other, "grpc_client.py", str(port))
        assert refused.returncode == 1
        assert "UNAVAILABLE" in refused.stderr
    assert out.read_text().count("called by") == out.read_text().count("called by spiffe://example.org/web") == 1


def test_asgi(tmp_path: Path, orders: dict[str, str], web: dict[str, str], other: dict[str, str], port: int) -> None:
    write("asgi.md", tmp_path)
    with running(tmp_path, orders, port, "-m", "uvicorn", "orders:app", "--port", str(port)):
        done = run(tmp_path, web, "ask.py", str(port))
        assert (done.stdout, done.stderr) == ("200 orders of spiffe://example.org/web\n", "")
        refused = run(tmp_path, other, "ask.py", str(port))
        assert refused.stdout == '403 {"error": "forbidden", "reason": "not_authorized"}'


def test_a_tool_takes_task_tokens(tmp_path: Path, domain: InMemoryTrustDomain, port: int) -> None:
    write("verify-task-token.md", tmp_path)
    key, crm = DpopKey.create(), "https://crm.example/mcp"

    def asked(token: str) -> tuple[int, str]:
        proof = key.prove("GET", f"{crm}/tickets", domain.clock.now(), access_token=token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        answer = httpx.get(f"http://127.0.0.1:{port}/mcp/tickets", headers=headers)
        return answer.status_code, answer.text

    with agent(domain, "/crm") as environment:
        with running(tmp_path, environment, port, "-m", "uvicorn", "tool:app", "--port", str(port)):
            token = domain.task_token("/principal/bot/i7f3", crm, "crm.read", key=key, task_id="tsk_1")
            said = "crm.read by spiffe://example.org/principal/bot/i7f3 for tsk_1\n"
            assert asked(token) == (200, said)
            domain.status.revoke(token)
            while domain.status.held != domain.status.position:
                time.sleep(0.01)
            assert asked(token) == (401, '{"error": "invalid_token", "reason": "revoked"}')
            kinds = ["data.access", "tool.use", "tool.use"]
            while len(domain.status.reports) < len(kinds):
                time.sleep(0.01)
        assert [one.kind for _, one in domain.status.reports] == kinds
    compile((tmp_path / "agent.py").read_text(), "agent.py", "exec")


def test_the_reasons_for_task_tokens_are_all_on_the_page() -> None:
    listed = set(re.findall(r"`(\w+)`", (DOCS / "verify-task-token.md").read_text()))
    others = {"not_bound", "wrong_key", "no_proof", "bad_proof", "action_not_allowed", "unknown_constraint"}
    ended = {"revoked", "withdrawn", "status_unknown", "no_credential"}
    assert {wrong.reason.value for wrong in WrongTaskToken} | others | ended <= listed


def test_the_reasons_are_all_on_the_page() -> None:
    listed = set(re.findall(r"`(\w+)`", (DOCS / "verify-jwt.md").read_text()))
    assert {wrong.reason.value for wrong in WrongJwtSvid} | {"not_authorized"} <= listed
