"""How long a workload's new connection waits while another user's processes connect to the agent in tight loops.

`python -m bench knock` starts a server and an agent, and prints the median and the 99th percentile of a call on a new
connection: alone, and beside processes that connect and hang up, or connect and stay, as fast as they can. They are
another user's where this runs as root; elsewhere they are other processes of this one, which the caller then shares
its turns with. Beside the time that passes it gives the CPU time that the agent spends meanwhile, on whomever.
"""

import asyncio
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path

import uvloop

from assay.errors import AssayError
from assay.testing.deployment import Deployment
from assay.workloadapi import Endpoint, WorkloadApiClient
from bench.flood import Wait

NOBODY = 65534
PROCESSES = (1, 4)
# Connections that one of them keeps, by what it does.
KEPT = {"who connect and hang up": 0, "who connect and stay": 2000}
CALLS = 200
PAUSE = 0.01
WARM = 1.0
MOST_SECONDS = 15.0


def main() -> None:
    """Print the figures, in a minute or two."""
    for wait in measured():
        print(wait, flush=True)


def measured() -> Iterator[Wait]:
    with (
        tempfile.TemporaryDirectory(prefix="assay-") as name,
        closing(Deployment(Path(name))) as house,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        Path(name).chmod(0o755)
        # What is logged of each call would be most of what is measured.
        conf = Path(name) / "agent.conf"
        conf.write_text(conf.read_text().replace('"DEBUG"', '"ERROR"'))
        house.start()
        house.register("/web")
        yield runner.run(waits(house, "alone"))
        for kind, count in product(KEPT, PROCESSES):
            with knocking(house.api, kind, count):
                yield runner.run(waits(house, f"beside {count} {kind}"))


async def waits(house: Deployment, beside: str) -> Wait:
    """Calls on connections of their own, one after the other."""
    loop = Path(f"/proc/{house.processes['agent'].pid}/schedstat")
    endpoint, taken, spent = Endpoint.of_path(house.api), list[float](), list[float]()
    end = time.monotonic() + MOST_SECONDS
    failed = 0
    while len(taken) < CALLS and time.monotonic() < end:
        began, ran = time.perf_counter(), _ran(loop)
        try:
            async with WorkloadApiClient(endpoint) as client:
                await client.fetch_x509(within=MOST_SECONDS)
        except AssayError:
            failed += 1
            await asyncio.sleep(PAUSE)
            continue
        taken.append(time.perf_counter() - began)
        spent.append(_ran(loop) - ran)
        await asyncio.sleep(PAUSE)
    found = f"FetchX509SVID on a new connection, {beside}, {failed} refused"
    return Wait(found, taken or [math.inf], spent or [math.inf])


def _ran(loop: Path) -> float:
    return int(loop.read_bytes().split()[0]) / 1e9


@contextmanager
def knocking(path: Path, kind: str, count: int) -> Iterator[None]:
    """While processes do."""
    processes = [
        subprocess.Popen([sys.executable, "-m", "bench.knock", str(path), str(KEPT[kind])]) for _ in range(count)
    ]
    try:
        time.sleep(WARM)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def knock(path: str, kept: int) -> None:
    """Connect for ever and keep that many of the connections, the newest."""
    if os.geteuid() == 0:
        os.setuid(NOBODY)
    held: list[socket.socket] = []
    while True:
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(path)
        except OSError:
            one.close()
            continue
        held.append(one)
        if len(held) > kept:
            held.pop(0).close()


if __name__ == "__main__":
    knock(sys.argv[1], int(sys.argv[2]))
