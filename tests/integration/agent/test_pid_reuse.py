"""A connection whose process has ended, while another process has its number: nobody is taken for the one before."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pytest

from assay.testing.deployment import Deployment

# Choosing numbers is the whole machine's affair: not two at a time.
pytestmark = pytest.mark.xdist_group("process numbers")

# Has a child connect, and speaks on that connection itself: it is the child's to the kernel. What comes in at standard
# input is done, what is found out is printed. The child and who has its number later are the same user.
RELAY = """
import asyncio, ctypes, json, os, signal, socket, struct, sys
from contextlib import suppress
from assay.rpc.client import Channel
from assay.rpc.status import EndError
from assay.workloadapi.wire import METADATA
from assay_proto.workloadapi.workloadapi_pb2 import X509SVIDResponse

FETCH = "/SpiffeWorkloadAPI/FetchX509SVID"

def forked(work, pid=None):
    # A child that does `work` and then waits; with that number, by clone3(2), which os.fork() has no way to ask for.
    if pid is None:
        child = os.fork()
    else:
        number = ctypes.c_int(pid)
        fields = struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(number), 1, 0)
        libc = ctypes.CDLL(None, use_errno=True)
        child = libc.syscall(ctypes.c_long(435), ctypes.c_char_p(fields), ctypes.c_size_t(len(fields)))
        if child < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if child == 0:
        work()
        os.execv(sys.executable, [sys.executable, "-SEc", "import time; time.sleep(600)"])
    return child

def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

def paths(answer):
    return sorted(svid.spiffe_id.partition("test")[2] for svid in X509SVIDResponse.FromString(answer).svids)

async def main():
    connection = socket.socket(socket.AF_UNIX)
    pid = forked(lambda: connection.connect(sys.argv[1]))
    loop = asyncio.get_running_loop()
    while True:
        with suppress(OSError):
            connection.getpeername()
            break
        await asyncio.sleep(0.01)
    connection.setblocking(False)
    channel = Channel(lambda made: loop.create_unix_connection(made, sock=connection), max_message=2**22)
    stream, told = None, lambda **said: print(json.dumps(said), flush=True)
    try:
        while order := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                if order == "end":
                    end(pid)
                elif order == "reuse":
                    told(same=forked(lambda: None, pid) == pid)
                elif order == "open":
                    stream = channel.stream(FETCH, b"", METADATA, timeout=None)
                    told(paths=paths(await anext(stream)))
                elif order == "next":
                    told(paths=paths(await anext(stream)))
                elif order == "fetch":
                    told(paths=paths(await anext(channel.stream(FETCH, b"", METADATA, timeout=60))))
            except EndError as error:
                told(code=error.code.name, why=error.message)
            except (OSError, StopAsyncIteration) as error:
                told(error=repr(error))
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            end(pid)

asyncio.run(main())
"""
NOT_ATTESTED = {"code": "UNAVAILABLE", "why": "workload attestation failed"}
ENDED = {"code": "UNAUTHENTICATED", "why": "could not verify existence of the original caller"}


class Relay:
    """Whoever speaks on the connection of its child."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._orders: IO[str] = process.stdin
        self._found: IO[str] = process.stdout

    def order(self, what: str) -> None:
        self._orders.write(f"{what}\n")
        self._orders.flush()

    def ask(self, what: str) -> dict[str, Any]:
        """What it found out."""
        self.order(what)
        return self.told()

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._found.readline())
        return found

    def reuse(self) -> None:
        """Have the child end, and another process have its number."""
        self.order("end")
        if (found := self.ask("reuse")) != {"same": True}:
            pytest.skip(f"a process with a wanted number cannot be made here: {found}")


@contextmanager
def relay(deployment: Deployment) -> Iterator[Relay]:
    with subprocess.Popen(
        [sys.executable, "-c", RELAY, str(deployment.api)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Relay(process)


@pytest.fixture
def house(deployment: Deployment) -> Deployment:
    deployment.register("/mine")
    return deployment


def test_the_connection_is_the_childs_while_it_lives(house: Deployment) -> None:
    with relay(house) as other:
        assert other.ask("fetch") == {"paths": ["/mine"]}
        other.order("end")
        assert other.ask("fetch") == NOT_ATTESTED


@pytest.mark.parametrize("before", [True, False])
def test_another_process_with_its_number_gets_nothing_on_its_connection(house: Deployment, before: bool) -> None:
    """Neither on a connection that the agent has answered on before nor on one that it has not."""
    with relay(house) as other:
        if before:
            assert other.ask("fetch") == {"paths": ["/mine"]}
        other.reuse()
        assert other.ask("fetch") == NOT_ATTESTED
        assert other.ask("open") == NOT_ATTESTED


def test_what_changes_later_is_not_sent_to_another_process_with_its_number(house: Deployment) -> None:
    with relay(house) as other:
        assert other.ask("open") == {"paths": ["/mine"]}
        other.reuse()
        other.order("next")
        house.register("/later")
        assert other.told() == ENDED
