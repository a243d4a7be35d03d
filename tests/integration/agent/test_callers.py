# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Callers that mean no good, and callers in other namespaces, as real processes of other users."""

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from assay.errors import UnavailableError
from assay.spiffeid import SpiffeId
from assay.testing.deployment import ASSAY, Deployment
from assay.testing.operator import dialled
from assay.wire import spiffeid as spiffeid_wire
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_proto.spire.api.server.entry.v1 import entry_pb2, entry_pb2_grpc
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_proto.spire.api.types.selector_pb2 import Selector

NOBODY = 65534
PATIENCE = 60.0
FILES = 1024
CONNECTIONS = 100
CALLS_AT_ONCE = 500
# MiB by which the agent may grow, whatever one user does.
GROWTH = 40.0

# Becomes another user, then asks for its identity.
WORKLOAD = """
import asyncio, os, sys
from assay.errors import AssayError
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay.rpc import client
from pathlib import Path
import ctypes

async def main():
    async with WorkloadApiClient(Endpoint.of_path(Path(sys.argv[1]))) as client:
        try:
            print(*sorted(one.svid.spiffe_id.path for one in (await client.fetch_x509()).svids))
        except AssayError as error:
            print(error.message)

if len(sys.argv) > 2:
    os.setgroups([]); os.setresgid(*[int(sys.argv[2])] * 3); os.setresuid(*[int(sys.argv[2])] * 3)
if len(sys.argv) > 3:
    uid, libc = os.getuid(), ctypes.CDLL(None, use_errno=True)
    libc.prctl(4, 1)  # PR_SET_DUMPABLE: it may write its own files in /proc
    assert libc.unshare(0x10000000) == 0, ctypes.get_errno()  # CLONE_NEWUSER
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    assert os.getuid() == 0
asyncio.run(main())
"""

# Another user that opens connections without end, asks for streams on each, grants no window and reads nothing.
FLOOD = """
import os, socket, sys, time
from assay.http2 import frame
from assay.http2.headers import encode

def call(stream):
    fields = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/SpiffeWorkloadAPI/FetchX509Bundles"),
              (b"content-type", b"application/grpc"), (b"workload.spiffe.io", b"true"))
    return frame.headers(stream, encode(fields), ended=False) + frame.frame(frame.DATA, 1, stream, bytes(5))

NO_WINDOW = frame.settings({4: 0})
GREETING = frame.PREFACE + NO_WINDOW + b"".join(call(1 + 2 * number) for number in range(50))
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
held = []
for number in range(1_000_000):
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    try:
        connection.connect(sys.argv[1])
        connection.send(GREETING)
    except BlockingIOError:
        time.sleep(0.001)
        continue
    except OSError:
        connection.close()
        continue
    held.append(connection)
    if len(held) == 1000:
        print("ready", flush=True)
    if len(held) > 3000:
        held.pop(0).close()
"""

# Connects and hangs up, as often as it can.
KNOCK = """
import socket, sys

for number in range(1_000_000_000):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
    if number == 5000:
        print("ready", flush=True)
"""


@pytest.fixture
def house(deployments: Any) -> Deployment:
    """A deployment whose sockets other users reach, and whose agent holds a user to little."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FILES:
        pytest.skip(f"needs {FILES} descriptors")
    limits = f"assay {{\n connections_per_user = {CONNECTIONS}\n calls_at_once_per_user = {CALLS_AT_ONCE}\n}}\n"
    deployment: Deployment = deployments()
    deployment.dir.chmod(0o711)
    conf = deployment.dir / "agent.conf"
    conf.write_text(conf.read_text() + limits)
    return deployment.start()


def as_root() -> None:
    if subprocess.run(["id", "-u"], capture_output=True, text=True, check=True).stdout.strip() != "0":
        pytest.skip("only root can be other users")


def register(house: Deployment, path: str, selector: str) -> None:
    kind, _, value = selector.partition(":")
    (agent,) = house.operator.agents()
    entry = Entry(
        spiffe_id=spiffeid_wire.to_proto(SpiffeId(agent.trust_domain, path)),
        parent_id=spiffeid_wire.to_proto(agent),
        selectors=[Selector(type=kind, value=value)],
    )
    with dialled(house.admin) as channel:
        request = entry_pb2.BatchCreateEntryRequest(entries=[entry])
        answer = entry_pb2_grpc.EntryStub(channel).BatchCreateEntry(request, timeout=PATIENCE)
    assert answer.results[0].status.code == 0


def workload(house: Deployment, *args: str, prefix: tuple[str, ...] = ()) -> str:
    """What a process gets: paths, or the refusal."""
    command = [*prefix, sys.executable, "-c", WORKLOAD, str(house.api), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        pytest.skip(f"such a process cannot be here: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def until_said(house: Deployment, wanted: str, *args: str) -> None:
    end = time.monotonic() + PATIENCE
    while (said := workload(house, *args)) != wanted:
        assert time.monotonic() < end, said


def resident(pid: int) -> float:
    """MiB."""
    status = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return float(status["VmRSS"].split()[0]) / 1024


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@contextmanager
def flooding(house: Deployment, flood: str = FLOOD) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", flood, str(house.api)], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


async def newcomer(house: Deployment) -> str:
    """What a process gets that is not connected yet: the kernel's queue is one for all, and may be full at times."""
    while True:
        with suppress(UnavailableError):
            async with WorkloadApiClient(Endpoint.of_path(house.api)) as client:
                return (await client.fetch_jwt("a"))[0].spiffe_id.path
        await asyncio.sleep(0.01)


async def test_a_user_that_floods_and_never_reads_is_bounded_and_others_are_answered(house: Deployment) -> None:
    as_root()
    house.register("/mine")
    register(house, "/nobody", f"unix:uid:{NOBODY}")
    until_said(house, "/nobody", str(NOBODY))
    pid = house.processes["agent"].pid
    memory, files = resident(pid), descriptors(pid)
    async with WorkloadApiClient(Endpoint.of_path(house.api)) as old:
        await old.fetch_x509()
        with flooding(house):
            for _ in range(10):
                async with asyncio.timeout(PATIENCE):
                    assert [one.svid.spiffe_id.path for one in (await old.fetch_x509()).svids] == ["/mine"]
                    assert await newcomer(house) == "/mine"
                assert resident(pid) - memory < GROWTH
                # A connection and its process.
                assert descriptors(pid) - files < 2 * CONNECTIONS + 40
    assert house.processes["agent"].poll() is None
    assert 1 <= house.log("agent").count("Too many connections") <= 20
    house.until("agent", lambda: descriptors(pid) <= files + 4)
    until_said(house, "/nobody", str(NOBODY))


async def test_a_process_that_connects_and_hangs_up_without_end_keeps_nobody_out(house: Deployment) -> None:
    """Not even others of its own user; and nothing of it stays."""
    house.register("/mine")
    pid = house.processes["agent"].pid
    files = descriptors(pid)
    with flooding(house, KNOCK):
        for _ in range(10):
            async with asyncio.timeout(PATIENCE):
                assert await newcomer(house) == "/mine"
    house.until("agent", lambda: descriptors(pid) <= files + 4)
    assert house.log("agent").count("Too many connections") <= 20
    assert "Connection failed" not in house.log("agent")
    assert await newcomer(house) == "/mine"


def test_a_caller_in_a_pid_namespace_below_the_agents_is_known_for_what_it_is(house: Deployment) -> None:
    """As in a container: the kernel tells the agent the number that the process has in the agent's namespace."""
    house.register("/mine")
    assert workload(house, prefix=("unshare", "--pid", "--fork", "--kill-child")) == "/mine"


def test_root_of_a_user_namespace_is_the_user_who_made_it(house: Deployment) -> None:
    as_root()
    house.register("/mine")
    assert workload(house, str(NOBODY), "namespace") == "no identity issued"
    register(house, "/nobody", f"unix:uid:{NOBODY}")
    until_said(house, "/nobody", str(NOBODY), "namespace")


def agent_apart(house: Deployment) -> subprocess.Popen[bytes]:
    apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("PID namespaces cannot be made here")
    with (house.dir / "agent.log").open("ab") as log:
        command = [*apart, ASSAY, "agent", "run", "--config", str(house.dir / "agent.conf")]
        return subprocess.Popen(command, stdout=log, stderr=log)


async def test_a_caller_that_the_agent_cannot_see_gets_nothing(house: Deployment) -> None:
    """The agent is in a PID namespace of its own: a process outside has no number there."""
    house.register("/mine")
    house.stop("agent")
    process = house.processes["agent"] = agent_apart(house)
    house.until("agent", lambda: house.log("agent").count("Creating X509-SVID") >= 2)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()  # noqa: ASYNC240 - memory
    assert workload(house, prefix=("nsenter", "--target", child, "--pid", "--mount")) == "/mine"
    async with WorkloadApiClient(Endpoint.of_path(house.api)) as outside:
        with pytest.raises(UnavailableError):
            await outside.fetch_x509()
    assert "another PID namespace" in house.log("agent")
