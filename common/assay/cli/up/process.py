"""The two daemons as child processes."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from assay.cli.up import tether
from assay.errors import UnavailableError

# Seconds that a daemon gets to end by itself.
GRACE = 15.0
TAIL_LINES = 15


class Child:
    """One daemon, its output at the end of a log file. It never outlives this process."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._begin = log.stat().st_size if log.exists() else 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, arguments: Sequence[str]) -> None:
        """Run `assay ARGUMENTS`."""
        # Isolated from the folder this runs in (-P), so that no file there is taken for a module.
        command = [sys.executable, "-P", "-m", "assay.cli", *arguments]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is for us, who stop them in order
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process ID; 0 before it was started."""
        return self._process.pid if self._process else 0

    def check_running(self) -> None:
        """Return if it runs.

        Raises:
            UnavailableError: it has ended; with the end of its log.
        """
        if self._process is not None and self._process.returncode is not None:
            raise UnavailableError(f"the {self.name} ended with status {self._process.returncode}\n{self.tail()}")

    async def wait_ended(self) -> None:
        """Return never; raises as `check_running` once it has ended."""
        if self._process is not None:
            await self._process.wait()
            self.check_running()

    async def stop(self) -> None:
        """End it, by force if it takes too long."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
            try:
                async with asyncio.timeout(GRACE):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    def tail(self) -> str:
        """The last lines of what it has logged since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._begin)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  (it logged nothing)"
