"""Rotation for minutes on end: `python -m bench soak [--minutes 10] [--workloads 50] [--ttl 15] [--ca-ttl 120]`.

A real server, a real agent, and workloads that talk to one another all the while. Exits with 1 if a request failed,
if something did not rotate, or if memory, descriptors or threads grew from the second minute to the last.
"""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.spiffeid import SpiffeId
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.testing.operator import PATIENCE, dialled
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from bench.footprint import MARGIN, Footprint, lowest
from bench.ring import FIRST_GROUP

MINUTE = 60.0
JUDGED = 3
"""Minutes that a run must have for growth to be judged; the first is for warming up."""
SAMPLE = 2.0
COUNTS = ("rotations", "requests", "tokens", "failed")
NAMES = ("server", "agent", "workloads")


@dataclass(frozen=True)
class Options:
    minutes: int
    workloads: int
    ttl: int
    ca_ttl: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench soak")
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--workloads", type=int, default=50)
    parser.add_argument("--ttl", type=int, default=15, help="of X.509-SVIDs, JWT-SVIDs and the agent's own, in seconds")
    parser.add_argument("--ca-ttl", type=int, default=120, help="of both kinds of authority, in seconds")
    options = Options(**vars(parser.parse_args(arguments)))
    # Whoever ends this ends the daemons with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    server = f'default_x509_svid_ttl = "{options.ttl}s"\ndefault_jwt_svid_ttl = "{options.ttl}s"'
    server += f'\nca_ttl = "{options.ca_ttl}s"'
    with (
        tempfile.TemporaryDirectory(prefix="assay-") as folder,
        closing(Deployment(Path(folder), server=server)) as house,
    ):
        house.start()
        register(house, options.workloads)
        with ring(house, options.workloads) as reports:
            return Soak(house, options, reports).run()


def register(house: Deployment, count: int) -> None:
    """An entry for each; as root each is a group of its own, otherwise all are this user and choose by SPIFFE ID."""
    parent = spiffeid_wire.to_proto(SpiffeId.parse(house.agent_id()))
    root = os.geteuid() == 0
    selectors = [f"gid:{FIRST_GROUP + number}" if root else f"uid:{os.getuid()}" for number in range(count)]
    entries = [
        types.Entry(
            spiffe_id=SPIFFEID(trust_domain=TRUST_DOMAIN, path=f"/ring/{number}"),
            parent_id=parent,
            selectors=[Selector(type="unix", value=selector)],
        )
        for number, selector in enumerate(selectors)
    ]
    with dialled(house.admin) as channel:
        request = entry_pb2.BatchCreateEntryRequest(entries=entries)
        answer = EntryStub(channel).BatchCreateEntry(request, timeout=PATIENCE)
    assert all(result.status.code == 0 for result in answer.results)


@contextmanager
def ring(house: Deployment, count: int) -> Iterator["queue.SimpleQueue[dict[str, Any]]"]:
    """What the workloads report, as it comes."""
    command = [sys.executable, "-m", "bench.ring", house.endpoint, TRUST_DOMAIN, str(count)]
    with (house.dir / "ring.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
    reports: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            reports.put(json.loads(line))

    reader = threading.Thread(target=read)
    reader.start()
    with process:
        try:
            yield reports
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            reader.join()


class Soak:
    """Reads, counts and judges."""

    def __init__(self, house: Deployment, options: Options, reports: "queue.SimpleQueue[dict[str, Any]]") -> None:
        self._house = house
        self._options = options
        self._reports = reports
        self._latest: dict[int, Mapping[str, Any]] = {}
        self._faults = Counter[str]()
        self._rows: list[Mapping[str, Footprint]] = []

    def run(self) -> int:
        while len(self._latest) < self._options.workloads:
            self._take()
        print(f"{'min':>3} {''.join(f'{name:>10}' for name in COUNTS)}", *(f"{name:^32}" for name in NAMES), sep=" | ")
        print(f"{'':43}", *["    MiB descr threads   cores "] * len(NAMES), sep=" | ", flush=True)
        for minute in range(1, self._options.minutes + 1):
            self._minute(minute)
        return self._judge()

    def _minute(self, minute: int) -> None:
        before, begin = self._totals(), time.monotonic()
        samples = [self._footprints()]
        while time.monotonic() < begin + MINUTE:
            until = time.monotonic() + SAMPLE
            while time.monotonic() < until:
                self._take()
            samples.append(self._footprints())
        seconds = time.monotonic() - begin
        floors = {name: lowest([one[name] for one in samples], seconds) for name in NAMES}
        self._rows.append(floors)
        counts = self._totals()
        counts.subtract(before)
        print(
            f"{minute:>3} {''.join(f'{counts[name]:>10,}' for name in COUNTS)}", *floors.values(), sep=" | ", flush=True
        )

    def _footprints(self) -> dict[str, Footprint]:
        daemons = {name: Footprint.of([self._house.processes[name].pid]) for name in ("server", "agent")}
        return {**daemons, "workloads": Footprint.of([one["pid"] for one in self._latest.values()])}

    def _take(self) -> None:
        """What is reported within a moment."""
        for name, process in self._house.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"the {name} ended:\n{self._house.log(name)[-4000:]}")
        try:
            report = self._reports.get(timeout=SAMPLE / 4)
        except queue.Empty:
            return
        self._latest[report["number"]] = report
        self._faults.update(report["faults"])

    def _totals(self) -> Counter[str]:
        return Counter({name: sum(one.get(name, 0) for one in self._latest.values()) for name in COUNTS})

    def _judge(self) -> int:
        wrong = [f"{count} x {fault}" for fault, count in self._faults.items()]
        least = self._options.minutes * MINUTE / self._options.ttl
        slow = [number for number, one in self._latest.items() if one.get("rotations", 0) < least]
        wrong += [f"workload {number} rotated less than {least:.0f} times" for number in slow]
        if len(self._rows) >= JUDGED:
            print(f"growth from minute 2 to {len(self._rows)}; what passes for none: {MARGIN}")
            for name in NAMES:
                early, late = self._rows[1][name], self._rows[-1][name]
                print(f"{name:>10} {late - early}")
                wrong += [f"{name} grew"] if late.exceeds(early) else []
        else:
            print(f"too short to judge growth: that takes {JUDGED} minutes")
        turns = {
            kind: self._house.log("server").count(f'msg="{kind} activated"') - 1 for kind in ("X509 CA", "JWT key")
        }
        print(*(f"{kind}: changed {count} times" for kind, count in turns.items()), sep="; ")
        print(*wrong or ["no request failed, nothing grew"], sep="\n")
        if wrong:
            print((self._house.dir / "ring.log").read_text(errors="replace")[-4000:])
        return 1 if wrong else 0
