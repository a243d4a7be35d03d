"""What a gRPC server costs that knows its callers: an echo by ours, and by grpc.aio behind the front, in turns.

`python -m bench rpc` prints the server's CPU per call, with 1, 8 and 32 callers on one connection, for streams that are
left after their first message and with a new connection for each call; bare grpc.aio on a Unix socket is the floor.
"""

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from assay.rpc.server import Server, peer_of
from assay.testing.echo import UNARY, Context, Echo, EchoStub, raw_call
from assay.transport.dial import dial_unix
from assay.transport.front import Front
from bench.figure import Figure, cpu_of

ROUNDS = 3
CALLS = 800
KINDS = {"bare": "echo by grpc.aio", "ours": "echo by our server", "front": "echo behind the front"}
Load = Callable[[Path, int], Coroutine[Any, Any, None]]


def look_up(front: Front, context: Context) -> None:
    front.peer(context)


def tell(context: object) -> None:
    peer_of(context)


async def serve(kind: str, path: Path) -> None:
    echo = Echo()
    if kind == "bare":
        echo.server.add_insecure_port(f"unix:{path}")
        await echo.server.start()
    elif kind == "ours":
        server = Server()
        echo.on_call = tell
        server.add_generic_rpc_handlers((echo.handler,))
        await server.listen_unix(path)
    else:
        front = Front(echo.server)
        await front.start()
        echo.on_call = partial(look_up, front)
        await front.listen_unix(path)
    print("ready", flush=True)
    await asyncio.Event().wait()


def callers(count: int) -> Load:
    async def load(path: Path, calls: int) -> None:
        async with dial_unix(path) as channel:
            stub = EchoStub(channel)

            async def call() -> None:
                for _ in range(calls // count):
                    await stub.unary(b"hello")

            await asyncio.gather(*[call() for _ in range(count)])

    return load


async def streams(path: Path, calls: int) -> None:
    async with dial_unix(path) as channel:
        stub = EchoStub(channel)

        async def call() -> None:
            for _ in range(calls // 8):
                stream = stub.hold(b"hello")
                await stream.read()
                stream.cancel()

        await asyncio.gather(*[call() for _ in range(8)])


async def new_connections(path: Path, calls: int) -> None:
    request = raw_call(UNARY, b"hello")
    loop = asyncio.get_running_loop()

    async def call() -> None:
        for _ in range(calls // 8):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.setblocking(False)
                await loop.sock_connect(connection, str(path))
                await loop.sock_sendall(connection, request)
                data = b""
                while b"hello" not in data:
                    data += await loop.sock_recv(connection, 4096)

    await asyncio.gather(*[call() for _ in range(8)])


LOADS: dict[str, Load] = {
    "1 caller": callers(1),
    "8 callers": callers(8),
    "32 callers": callers(32),
    "8 callers, streams": streams,
    "8 callers, new connections": new_connections,
}


def start(kind: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.rpc", kind, str(folder / kind)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


def measure(
    servers: dict[str, subprocess.Popen[bytes]], folder: Path, load: Load
) -> Iterator[tuple[str, float, float]]:
    """Kind, seconds and seconds of the server's CPU, in turns."""
    for _ in range(ROUNDS):
        for kind, server in servers.items():
            cpu, begun = cpu_of(server.pid), time.monotonic()
            uvloop.run(load(folder / kind, CALLS))
            yield kind, time.monotonic() - begun, cpu_of(server.pid) - cpu


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        folder = Path(name)
        servers = {kind: start(kind, folder) for kind in KINDS}
        try:
            for title, load in LOADS.items():
                found = list(measure(servers, folder, load))
                cpu = {kind: 1e6 * min(used for of, _, used in found if of == kind) / CALLS for kind in servers}
                for kind, what in KINDS.items():
                    rate = CALLS / min(taken for of, taken, _ in found if of == kind)
                    if kind != "bare":
                        yield Figure(f"{what}, {title}", rate, cpu[kind], "bare echo, same load", cpu["bare"])
        finally:
            for server in servers.values():
                server.kill()
                server.communicate()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], Path(sys.argv[2])))
