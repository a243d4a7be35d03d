"""What an agent holds and how long it takes on a host with many entries, against the gates that it has to keep.

`python -m bench host` starts a server and an agent and prints each figure beside its gate. Memory is what the kernel
counts as resident. Waits say something on a machine that does nothing else.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop

from assay.errors import UnavailableError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.testing.operator import PATIENCE, dialled
from assay.wire import spiffeid as spiffeid_wire
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector
from bench.figure import cpu_of

# MiB, by the number of entries.
MEMORY = {10: 65.0, 1000: 75.0, 5000: 90.0}
FIRST_SVID = 1.7
"""Seconds from the start of the agent, with MANY entries."""
STREAMS = 500
MANY = 1000
DELAY = 0.05
"""Seconds that the rotation of MANY SVIDs may add to the 99th percentile of a fetch."""

SETTLE = 3.0
QUIET, ROTATING = 3.0, 4.0
PAUSE = 0.003
NEW_TTL = 3000
STREAM = 0.05
"""MiB for each open stream."""
KIB_PER_MIB = 1024
AT_ONCE = 500


@dataclass(frozen=True)
class Gate:
    """A figure and what it may be at most."""

    name: str
    value: float
    most: float | None
    unit: str

    @property
    def kept(self) -> bool:
        return self.most is None or self.value <= self.most

    def __str__(self) -> str:
        gate = "" if self.most is None else f"at most {self.most:g}{'' if self.kept else '  EXCEEDED'}"
        return f"{self.name:64} {self.value:9.2f} {self.unit:4} {gate}"


def main() -> int:
    """Print all; 1 if a gate is not kept."""
    kept = True
    for gate in measured():
        print(gate, flush=True)
        kept = kept and gate.kept
    return 0 if kept else 1


def measured() -> Iterator[Gate]:
    with (
        tempfile.TemporaryDirectory(prefix="assay-") as name,
        closing(Deployment(Path(name))) as house,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        for daemon in ("server", "agent"):
            conf = Path(name) / f"{daemon}.conf"
            conf.write_text(conf.read_text().replace('"DEBUG"', '"INFO"'))
        house.start()
        house.register("/mine")
        entries: list[types.Entry] = []
        for count, most in MEMORY.items():
            entries += create(house, range(len(entries) + 1, count))
            yield resident(house, count, most)
            if count == MANY:
                yield Gate(f"first SVID with {count} entries", restart(house), FIRST_SVID, "s")
                yield resident(house, count, most, " after a restart")
                yield from runner.run(streams(house))
                yield from runner.run(rotation(house, entries))
        yield Gate(f"first SVID with {count} entries", restart(house), None, "s")
        yield resident(house, count, most, " after a restart")


def create(house: Deployment, numbers: Iterable[int]) -> list[types.Entry]:
    """Entries of the agent's for other workloads than this one."""
    (agent,) = house.operator.agents()
    made = [
        types.Entry(
            spiffe_id=spiffeid_wire.to_proto(SpiffeId(TrustDomain(TRUST_DOMAIN), f"/many/{number}")),
            parent_id=spiffeid_wire.to_proto(agent),
            selectors=[Selector(type="unix", value="uid:12345"), Selector(type="unix", value=f"gid:{number}")],
        )
        for number in numbers
    ]
    answered: list[types.Entry] = []
    with dialled(house.admin) as channel:
        for some in batches(made):
            request = entry_pb2.BatchCreateEntryRequest(entries=some)
            results = EntryStub(channel).BatchCreateEntry(request, timeout=PATIENCE).results
            answered += [result.entry for result in results]
    return answered


def batches(entries: Sequence[types.Entry]) -> Iterator[Sequence[types.Entry]]:
    for start in range(0, len(entries), AT_ONCE):
        yield entries[start : start + AT_ONCE]


def resident(house: Deployment, count: int, most: float, when: str = "") -> Gate:
    """Once the agent has come to rest."""
    pid = house.processes["agent"].pid
    rest(pid)
    return Gate(f"agent's memory with {count} entries{when}", resident_mib(pid), most, "MiB")


def resident_mib(pid: int) -> float:
    status = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return float(status["VmRSS"].split()[0]) / KIB_PER_MIB


def rest(pid: int) -> None:
    """Return when that process has used next to no CPU for a while."""
    while True:
        before = cpu_of(pid)
        time.sleep(SETTLE)
        if cpu_of(pid) - before < SETTLE / 50:
            return


def restart(house: Deployment) -> float:
    """Seconds from the start of the agent until this process has its SVID."""
    house.stop("agent")
    began = time.monotonic()
    house.spawn("agent", "agent", "run", "--config", str(house.dir / "agent.conf"))
    asyncio.run(first(house))
    return time.monotonic() - began


async def first(house: Deployment) -> None:
    async with WorkloadApiClient(Endpoint.of_path(house.api)) as client:
        while True:
            with suppress(UnavailableError):
                await client.fetch_x509()
                return
            await asyncio.sleep(PAUSE)


async def streams(house: Deployment) -> list[Gate]:
    """STREAMS workloads with a connection each, and what they cost."""
    pid = house.processes["agent"].pid
    cpu, began = cpu_of(pid), time.monotonic()
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(WorkloadApiClient(Endpoint.of_path(house.api))) for _ in range(STREAMS)
        ]
        updates = [await stack.enter_async_context(aclosing(client.watch_x509())) for client in opened]
        await asyncio.gather(*(anext(one) for one in updates))
        took = time.monotonic() - began
        mib = resident_mib(pid)
        began = time.monotonic()
        await asyncio.to_thread(house.operator.register, "/more", house.operator.agents()[0])
        await asyncio.gather(*(anext(one) for one in updates))
        return [
            Gate(f"opening {STREAMS} streams", took, None, "s"),
            Gate(
                "the agent's CPU for that and one update of each, a stream",
                1000 * (cpu_of(pid) - cpu) / STREAMS,
                None,
                "ms",
            ),
            Gate(f"until all of {STREAMS} streams have a new entry's SVID", time.monotonic() - began, None, "s"),
            Gate(
                f"agent's memory with {MANY} entries and {STREAMS} streams", mib, MEMORY[MANY] + STREAMS * STREAM, "MiB"
            ),
        ]


async def rotation(house: Deployment, entries: Sequence[types.Entry]) -> list[Gate]:
    """How long fetches take while the SVIDs of all these entries are signed anew, beyond what they take otherwise."""
    pid = house.processes["agent"].pid
    async with WorkloadApiClient(Endpoint.of_path(house.api)) as client:
        quiet = late(await fetches(client, QUIET))
        cpu = cpu_of(pid)
        changing = asyncio.get_running_loop().run_in_executor(None, change, house, entries)
        taken = await fetches(client, ROTATING)
        await changing
        spent = cpu_of(pid) - cpu
    return [
        Gate("fetch of an SVID, 99th percentile", 1000 * quiet, None, "ms"),
        Gate(f"the same in the {ROTATING:g} s in which {len(entries)} SVIDs rotate", 1000 * late(taken), None, "ms"),
        Gate("the difference", 1000 * (late(taken) - quiet), 1000 * DELAY, "ms"),
        Gate(f"the longest of {len(taken)}", 1000 * max(taken), None, "ms"),
        Gate("the agent's CPU for rotation and fetches", spent, None, "s"),
    ]


def change(house: Deployment, entries: Sequence[types.Entry]) -> None:
    """Give them another TTL, which their SVIDs have to show."""
    with dialled(house.admin) as channel:
        for some in batches([types.Entry(id=one.id, x509_svid_ttl=NEW_TTL) for one in entries]):
            request = entry_pb2.BatchUpdateEntryRequest(entries=some, input_mask=types.EntryMask(x509_svid_ttl=True))
            answer = EntryStub(channel).BatchUpdateEntry(request, timeout=PATIENCE)
            assert not any(result.status.code for result in answer.results)


async def fetches(client: WorkloadApiClient, seconds: float) -> list[float]:
    """Seconds that each took."""
    taken: list[float] = []
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        await client.fetch_x509()
        taken.append(time.monotonic() - began)
        await asyncio.sleep(PAUSE)
    return taken


def late(taken: Sequence[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.99)]


if __name__ == "__main__":
    raise SystemExit(main())
