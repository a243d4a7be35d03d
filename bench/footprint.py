"""What processes hold: memory, descriptors, threads; by /proc, and by its lowest in a while, which only leaks raise."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figure import cpu_of

KIB_PER_MIB = 1024.0
MARGIN = (("mib", 4.0, 0.03), ("descriptors", 4.0, 0.03), ("threads", 2.0, 0.03))
"""What growth passes for none: so much, and that share of what was there before."""


@dataclass(frozen=True)
class Footprint:
    """Of one process or several together. `cpu` is seconds so far, or cores where it stands for a while."""

    mib: float
    descriptors: int
    threads: int
    cpu: float

    @classmethod
    def of(cls, pids: Iterable[int]) -> "Footprint":
        """As it is now."""
        each = [_of(pid) for pid in pids]
        return cls(
            sum(one.mib for one in each),
            sum(one.descriptors for one in each),
            sum(one.threads for one in each),
            sum(one.cpu for one in each),
        )

    def __sub__(self, before: "Footprint") -> "Footprint":
        return Footprint(
            self.mib - before.mib,
            self.descriptors - before.descriptors,
            self.threads - before.threads,
            self.cpu - before.cpu,
        )

    def exceeds(self, before: "Footprint") -> bool:
        """Whether it has grown by more than MARGIN allows."""
        grown, most = (
            self - before,
            {name: at_least + share * getattr(before, name) for name, at_least, share in MARGIN},
        )
        return any(getattr(grown, name) > limit for name, limit in most.items())

    def __str__(self) -> str:
        return f"{self.mib:>7.1f} {self.descriptors:>5} {self.threads:>7} {self.cpu:>7.2f} "


def _of(pid: int) -> Footprint:
    status = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    # Of pages that processes share each has its part. Those of files are left out: they count for more when another
    # process that had them mapped ends, and no leak is in them.
    rollup = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names alone, no objects
    return Footprint(
        float(rollup["Pss_Anon"].split()[0]) / KIB_PER_MIB, descriptors, int(status["Threads"]), cpu_of(pid)
    )


def lowest(samples: Sequence[Footprint], seconds: float) -> Footprint:
    """The least of each in samples over that many seconds, with the cores used meanwhile."""
    return Footprint(
        min(one.mib for one in samples),
        min(one.descriptors for one in samples),
        min(one.threads for one in samples),
        (samples[-1].cpu - samples[0].cpu) / seconds,
    )
