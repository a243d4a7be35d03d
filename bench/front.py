"""What the front costs: a unary echo by grpc.aio on a Unix socket, bare and behind the front, in turns.

`python -m bench.front [CALLS]` prints the server's CPU in ms per call, with 1, 8 and 32 callers on one connection and
with a new connection for each call.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from assay.testing.echo import UNARY, Context, Echo, EchoStub, raw_call
from assay.transport.dial import dial_unix
from assay.transport.front import Front

ROUNDS = 5
TICK = os.sysconf("SC_CLK_TCK")
Load = Callable[[Path, int], Coroutine[Any, Any, None]]


def look_up(front: Front, context: Context) -> None:
    front.peer(context)


async def serve(kind: str, path: Path) -> None:
    echo = Echo()
    if kind == "bare":
        echo.server.add_insecure_port(f"unix:{path}")
        await echo.server.start()
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
    "8 callers, new connections": new_connections,
}


def cpu(pid: int) -> float:
    """Seconds of CPU that process has used."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def start(kind: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.front", "serve", kind, str(folder / kind)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


def measure(servers: dict[str, subprocess.Popen[bytes]], folder: Path, load: Load, calls: int) -> dict[str, float]:
    """Median ms of the server's CPU per call, by kind."""
    found: dict[str, list[float]] = {kind: [] for kind in servers}
    for _ in range(ROUNDS):
        for kind, server in servers.items():
            before = cpu(server.pid)
            uvloop.run(load(folder / kind, calls))
            found[kind].append(1000 * (cpu(server.pid) - before) / calls)
    return {kind: statistics.median(values) for kind, values in found.items()}


def main(calls: int) -> None:
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        folder = Path(name)
        servers = {kind: start(kind, folder) for kind in ("bare", "front")}
        try:
            for title, load in LOADS.items():
                found = measure(servers, folder, load, calls)
                bare, front = found["bare"], found["front"]
                print(f"{title:28} bare {bare:.3f} front {front:.3f} ms, +{front - bare:.3f}, x{front / bare:.2f}")
        finally:
            for server in servers.values():
                server.kill()
                server.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(sys.argv[2], Path(sys.argv[3])))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 2000)
