"""Real processes as callers: who they are decides, and a dead one gets nothing."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio

from assay.errors import UnauthenticatedError, UnavailableError
from assay.selector import Selector
from assay.testing.wait import until
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_agent.cache import Update
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb
from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceStub

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent

WORKLOAD = """
import asyncio, os, sys
from assay.workloadapi import Endpoint, WorkloadApiClient

async def main():
    async with WorkloadApiClient(Endpoint.from_environment(os.environ)) as client:
        print(str((await client.fetch_x509()).default.spiffe_id))

asyncio.run(main())
"""

# Connects, hands the connection to whoever started it, and waits to be told to die.
CONNECTOR = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=int(sys.argv[2])), [b"x"], [connection.fileno()])
sys.stdin.read()
"""


class LastArgument:
    """Attests by the last word of the command line."""

    name = "word"

    async def attest(self, pid: int) -> tuple[Selector, ...]:
        return (Selector("word", last_word(pid)),)


def last_word(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode()


async def workload(agent: LocalAgent, word: str) -> str:
    """What a process with that last argument gets."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKLOAD, word,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={"SPIFFE_ENDPOINT_SOCKET": f"unix://{agent.path}"},
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode().strip()


@pytest.mark.spec("WAPI-4.1-a")
@pytest.mark.spec("WEP-3.1-a")
@pytest.mark.spec("WEP-5-a")
@pytest.mark.spec("WEP-5-b")
@pytest.mark.spec("WEP-5-c")
async def test_two_processes_get_two_answers_on_one_socket(agents: Agents) -> None:
    agent = await agents(plugins=[LastArgument()])
    agent.register("a", "/cook", "word:cook")
    agent.register("b", "/waiter", "word:waiter")
    answers = await asyncio.gather(*(workload(agent, word) for word in ("cook", "waiter", "guest")))
    assert answers[:2] == ["spiffe://example.org/cook", "spiffe://example.org/waiter"]
    assert "no identity issued" in answers[2]


@asynccontextmanager
async def connection_of_another(path: Path) -> AsyncIterator[tuple[socket.socket, asyncio.subprocess.Process]]:
    """A connection that another process made, and that process."""
    ours, theirs = socket.socketpair()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", CONNECTOR, str(path), str(theirs.fileno()),
        stdin=asyncio.subprocess.PIPE, pass_fds=[theirs.fileno()],
    )  # fmt: skip
    theirs.close()
    _, (number,), _, _ = await asyncio.to_thread(socket.recv_fds, ours, 1, 1)
    with ours, socket.socket(fileno=number) as connection:
        try:
            yield connection, process
        finally:
            process.stdin.close()  # type: ignore[union-attr]
            await process.wait()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def client_of_another(
    agent: LocalAgent, folder: Path
) -> AsyncIterator[tuple[WorkloadApiClient, asyncio.subprocess.Process]]:
    """A client whose connection another process made, and that process."""
    async with connection_of_another(agent.path) as (connection, process):
        far_reader, far_writer = await asyncio.open_unix_connection(sock=connection)

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
            finally:
                writer.close()

        path = folder / "relay.sock"
        server = await asyncio.start_unix_server(relay, path)
        async with server:
            async with WorkloadApiClient(Endpoint.of_path(path)) as client:
                yield client, process
            far_writer.close()  # before the server, which waits for its connections from Python 3.12 on


class Everybody:
    """Attests everybody alike, after letting a victim die."""

    name = "every"

    def __init__(self) -> None:
        self.victim: asyncio.subprocess.Process | None = None

    async def attest(self, _pid: int) -> tuple[Selector, ...]:
        if self.victim is not None:
            await kill(self.victim)
        return (Selector("every", "body"),)


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


@pytest.mark.spec("WEP-5-b")
async def test_a_caller_that_dies_gets_no_further_response(agents: Agents, folder: Path) -> None:
    """Its connection lives on in another process, as in that of a child it left behind."""
    agent = await agents(plugins=[Everybody()])
    agent.register("a", "/web", "every:body")
    async with client_of_another(agent, folder) as (client, process), aclosing(client.watch_x509()) as contexts:
        await anext(contexts)
        await kill(process)
        agent.rotate("a")
        with pytest.raises(UnauthenticatedError, match="could not verify existence of the original caller"):
            await anext(contexts)
        with pytest.raises(UnavailableError, match="workload attestation failed"):
            await client.fetch_x509()
        with pytest.raises(UnavailableError, match="workload attestation failed"):
            await client.fetch_jwt(["x"])


async def test_a_caller_that_dies_while_it_is_attested_is_not_served(agents: Agents, folder: Path) -> None:
    plugin = Everybody()
    agent = await agents(plugins=[plugin])
    agent.register("a", "/web", "every:body")
    async with client_of_another(agent, folder) as (client, plugin.victim):
        with pytest.raises(UnavailableError, match="workload attestation failed"):
            await client.fetch_x509()
    assert not agent.cache.wanted


async def test_a_caller_that_dies_while_its_token_is_minted_does_not_get_it(agents: Agents, folder: Path) -> None:
    agent = await agents(plugins=[Everybody()])
    agent.register("a", "/web", "every:body")
    async with client_of_another(agent, folder) as (client, process):
        agent.minter.before = lambda: kill(process)
        with pytest.raises(UnauthenticatedError, match="could not verify existence"):
            await client.fetch_jwt(["x"])
    assert agent.minter.asked == [("a", ("x",))]


@pytest.mark.parametrize("method", ["StreamSecrets", "DeltaSecrets"])
async def test_an_envoy_that_dies_gets_no_further_secret(agents: Agents, folder: Path, method: str) -> None:
    agent = await agents(plugins=[Everybody()])
    agent.register("a", "/web", "every:body")
    ask = pb.DiscoveryRequest() if method == "StreamSecrets" else pb.DeltaDiscoveryRequest()
    async with (
        client_of_another(agent, folder) as (_, process),
        aio.insecure_channel(f"unix:{folder / 'relay.sock'}") as channel,
    ):
        call: Any = getattr(SecretDiscoveryServiceStub(channel), method)()
        await call.write(ask)
        await call.read()
        await kill(process)
        agent.rotate("a")
        with pytest.raises(aio.AioRpcError) as refusal:
            await call.read()
        assert refusal.value.details() == "could not verify existence of the original caller"
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_envoy_that_dies_while_its_svid_is_signed_does_not_get_it(agents: Agents, folder: Path) -> None:
    agent = await agents(plugins=[Everybody()])
    agent.cache._patience = 60
    agent.cache.apply(Update(entries=[agent.entry("a", "/web", "every:body")]))
    async with (
        client_of_another(agent, folder) as (_, process),
        aio.insecure_channel(f"unix:{folder / 'relay.sock'}") as channel,
    ):
        call: Any = SecretDiscoveryServiceStub(channel).FetchSecrets(pb.DiscoveryRequest())
        await until(lambda: bool(agent.cache.wanted))
        await kill(process)
        agent.rotate("a")
        with pytest.raises(aio.AioRpcError, match="could not verify existence of the original caller"):
            await call
