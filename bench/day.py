"""A day of an agent's rotations in ten minutes: `python -m bench day [--minutes 10] [--entries 20] [--ttl 15]`.

An SVID of an hour is renewed 48 times a day. Here SVIDs, tokens and the agent's own SVID live for seconds, with
workloads, Envoys and askers of tokens attached all the while. Exits with 1 if a call failed, a stream ended, an SVID
came late or too seldom, or if memory, descriptors, threads or tasks of the agent grew from the second minute on.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import uvloop

from assay.spiffeid import SpiffeId
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.testing.operator import dialled, serving
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from bench.callers import Callers
from bench.footprint import MARGIN, Footprint, lowest
from bench.idle import resident
from bench.propagation import entry
from bench.soak import JUDGED, MINUTE

DAY = 48
"""How often an SVID of an hour is renewed in a day."""
FULL = 10
"""Minutes that stand for the day."""
SAMPLE = 2.0
COUNTS = ("updates", "bundles", "tokens", "visits")
MORE_TASKS = 4


@dataclass(frozen=True)
class Options:
    minutes: int
    entries: int
    ttl: int
    ca_ttl: int


@dataclass(frozen=True)
class Minute:
    """The least of what the agent held in it."""

    footprint: Footprint
    resident: float
    tasks: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench day")
    parser.add_argument("--minutes", type=int, default=FULL)
    parser.add_argument("--entries", type=int, default=20, help="each with an SVID that every stream gets")
    parser.add_argument("--ttl", type=int, default=15, help="of X.509-SVIDs, JWT-SVIDs and the agent's own, in seconds")
    parser.add_argument("--ca-ttl", type=int, default=600, help="of both kinds of authority, in seconds")
    options = Options(**vars(parser.parse_args(arguments)))
    # Whoever ends this ends the daemons with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    server = "".join(
        f'{name} = "{seconds}s"\n'
        for name, seconds in (
            ("default_x509_svid_ttl", options.ttl),
            ("default_jwt_svid_ttl", options.ttl),
            ("ca_ttl", options.ca_ttl),
        )
    )
    with (
        tempfile.TemporaryDirectory(prefix="assay-") as folder,
        closing(Deployment(Path(folder), server=server)) as house,
    ):
        return uvloop.run(Day(house, options).run())


class Day:
    """Starts, samples and judges."""

    def __init__(self, house: Deployment, options: Options) -> None:
        self._house = house
        self._options = options
        self._callers = Callers(house)
        self._minutes: list[Minute] = []

    async def run(self) -> int:
        start(self._house)
        register(self._house, self._options.entries)
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(self._callers.run())
            print(f"{'min':>3} {'rotations':>10}{''.join(f'{name:>9}' for name in COUNTS)} {'faults':>7} |", end="")
            print("   MiB   RSS  descr threads   cores tasks", flush=True)
            for number in range(1, self._options.minutes + 1):
                await self._minute(number)
            calling.cancel()
        return self._judge()

    async def _minute(self, number: int) -> None:
        counts, rotated, begin = self._callers.counts.copy(), self._rotations(), time.monotonic()
        samples, tasks, held = [self._footprint()], [await self._tasks()], [resident(self._pid)]
        while time.monotonic() < begin + MINUTE:
            await asyncio.sleep(SAMPLE)
            samples.append(self._footprint())
            tasks.append(await self._tasks())
            held.append(resident(self._pid))
        least = Minute(lowest(samples, time.monotonic() - begin), min(held), min(tasks))
        self._minutes.append(least)
        new = self._callers.counts - counts
        print(f"{number:>3} {self._rotations() - rotated:>10}", end="")
        print(f"{''.join(f'{new[name]:>9,}' for name in COUNTS)} {sum(self._callers.faults.values()):>7} |", end="")
        print(f"{least.footprint.mib:>6.1f} {least.resident:>5.1f} {least.footprint.descriptors:>6}", end="")
        print(f"{least.footprint.threads:>8} {least.footprint.cpu:>7.2f} {least.tasks:>5}", flush=True)

    @property
    def _pid(self) -> int:
        process = self._house.processes["agent"]
        if process.poll() is not None:
            raise RuntimeError(f"the agent ended:\n{self._house.log('agent')[-4000:]}")
        return process.pid

    def _footprint(self) -> Footprint:
        return Footprint.of([self._pid])

    async def _tasks(self) -> int:
        place = tasks_file(self._house)
        place.unlink(missing_ok=True)
        os.kill(self._pid, signal.SIGRTMIN)
        while not place.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        return int(place.read_text())

    def _rotations(self) -> int:
        """As the stream saw them that saw most."""
        return max((turns.total() for turns in self._callers.turns), default=0)

    def _judge(self) -> int:
        wrong = [f"{count} x {fault}" for fault, count in self._callers.faults.items()]
        wrong += self._too_seldom()
        wrong += self._growth() if len(self._minutes) >= JUDGED else []
        log = self._house.log("agent"), self._house.log("server")
        print(f"{self._rotations()} rotations of {self._options.entries} SVIDs on each stream;", end=" ")
        print(f"the agent's own SVID: {log[0].count('Successfully rotated agent SVID')};", end=" ")
        print("authorities:", *[log[1].count(f'msg="{kind} activated"') - 1 for kind in ("X509 CA", "JWT key")])
        print(*wrong or ["no call failed, no stream ended, nothing came late, nothing grew"], sep="\n")
        return 1 if wrong else 0

    def _too_seldom(self) -> list[str]:
        least = DAY * self._options.minutes / FULL
        names = [f"spiffe://{TRUST_DOMAIN}/day/{number}" for number in range(self._options.entries)]
        seldom = min(turns[name] for turns in self._callers.turns for name in names)
        return [f"a stream saw an SVID renewed {seldom} times, not {least:.0f}"] if seldom < least else []

    def _growth(self) -> list[str]:
        early, late = self._minutes[1], self._minutes[-1]
        print(f"growth from minute 2 to {len(self._minutes)}; what passes for none: {MARGIN}, {MORE_TASKS} tasks")
        print(f"{late.footprint - early.footprint} {late.tasks - early.tasks} tasks")
        wrong = ["the agent grew"] if late.footprint.exceeds(early.footprint) else []
        return [*wrong, "tasks stayed"] if late.tasks > early.tasks + MORE_TASKS else wrong


def start(house: Deployment) -> None:
    """Server and agent, the latter so that it tells its tasks."""
    house.start_server()
    house.write_bundle()
    place = tasks_file(house)
    command = [sys.executable, "-m", "bench.counted", str(place), "agent", "run", "--config"]
    with (house.dir / "agent.log").open("ab") as log:
        house.processes["agent"] = subprocess.Popen(
            [*command, str(house.dir / "agent.conf"), "--join-token", house.operator.join_token()],
            stdout=log,
            stderr=log,
        )
    house.until("agent", lambda: serving(house.api))
    house.register("/day/0")


def tasks_file(house: Deployment) -> Path:
    return house.dir / "tasks"


def register(house: Deployment, count: int) -> None:
    """The rest of the entries, all for this user."""
    parent = spiffeid_wire.to_proto(SpiffeId.parse(house.agent_id()))
    request = entry_pb2.BatchCreateEntryRequest(entries=[entry(f"/day/{number}", parent) for number in range(1, count)])
    with dialled(house.admin) as channel:
        answer = EntryStub(channel).BatchCreateEntry(request)
    assert not any(result.status.code for result in answer.results)
