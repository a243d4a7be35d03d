"""What the process uses, under the names that SPIRE's library has for Go's runtime, where Python has the like."""

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path

from assay.telemetry.metrics import Key

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def runtime_gauges() -> Iterator[tuple[Key, float]]:
    """Tasks for goroutines, resident memory (bytes) for what was taken from the system, and runs of the collector."""
    resident = int(_STATM.read_text().split()[1]) * _PAGE
    yield ("runtime", "num_goroutines"), len(asyncio.all_tasks())
    yield ("runtime", "alloc_bytes"), resident
    yield ("runtime", "sys_bytes"), resident
    yield ("runtime", "total_gc_runs"), sum(generation["collections"] for generation in gc.get_stats())
