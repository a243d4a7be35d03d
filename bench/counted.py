"""The `assay` command, which writes the number of its asyncio tasks to the file of its first argument on SIGRTMIN.

For `bench.day`: what a process holds of the kernel is in /proc, what it holds of its own loop only it can tell.
"""

import asyncio
import signal
import sys
from pathlib import Path

from assay.cli.__main__ import main


def count(place: Path) -> None:
    """Write the number for others to read whole; nothing when the loop does not run yet, or no more."""
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:
        return
    written = place.with_suffix(".new")
    written.write_text(str(tasks))
    written.replace(place)


if __name__ == "__main__":
    place = Path(sys.argv.pop(1))
    signal.signal(signal.SIGRTMIN, lambda *_: count(place))
    main()
