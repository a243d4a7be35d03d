"""Driving a daemon by gRPC calls, and the floor beneath them: an echo by bare grpc.aio, in a process of its own."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvloop

from assay.testing.echo import Echo, EchoStub
from assay.transport.dial import dial_unix
from bench.figure import Bare, Figure, cpu_of

Call = Callable[[], Awaitable[object]]

CALLERS = 8
SECONDS = 1.0
WARM = 0.2


async def drive(pid: int, call: Call, seconds: float = SECONDS) -> tuple[float, float]:
    """Rate and µs of that process's CPU per call, with CALLERS of them at a time."""
    await _calls(call, WARM)
    cpu, start = cpu_of(pid), time.monotonic()
    count = await _calls(call, seconds)
    return count / (time.monotonic() - start), 1e6 * (cpu_of(pid) - cpu) / count


async def _calls(call: Call, seconds: float) -> int:
    end = time.monotonic() + seconds

    async def caller() -> int:
        count = 0
        while time.monotonic() < end:
            await call()
            count += 1
        return count

    return sum(await asyncio.gather(*[caller() for _ in range(CALLERS)]))


class Floor:
    """A figure's measure: what the same number of calls costs a bare echo."""

    def __init__(self, pid: int, path: Path) -> None:
        self._pid = pid
        self._path = path
        self.unary = self.stream = 0.0

    async def measure(self) -> None:
        """Measure it, in the run whose figures stand on it."""
        async with dial_unix(self._path) as channel:
            stub = EchoStub(channel)

            async def unary() -> None:
                await stub.unary(b"hello")

            async def stream() -> None:
                call = stub.hold(b"hello")
                await call.read()
                call.cancel()

            _, self.unary = await drive(self._pid, unary)
            _, self.stream = await drive(self._pid, stream)

    async def figure(
        self, name: str, pid: int, call: Call, *, stream: bool = False, items: int = 1, beside: Sequence[Bare] = ()
    ) -> Figure:
        """What `call` costs that process, per item when it is about several; each needs what stands `beside` it."""
        rate, cpu = await drive(pid, call)
        floor = (self.stream if stream else self.unary) / items + sum(bare.cpu for bare in beside)
        names = [f"bare echo{', stream' * stream}{f' / {items}' * (items > 1)}", *(bare.name for bare in beside)]
        return Figure(name, rate * items, cpu / items, " + ".join(names), floor)


@contextmanager
def echo_floor(folder: Path) -> Iterator[Floor]:
    path = folder / "echo.sock"
    process = subprocess.Popen([sys.executable, "-m", "bench.load", str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield Floor(process.pid, path)
    finally:
        process.kill()
        process.communicate()


async def serve(path: Path) -> None:
    echo = Echo()
    echo.server.add_insecure_port(f"unix:{path}")
    await echo.server.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
