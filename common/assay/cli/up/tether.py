"""Run a command that ends when the process that started this one ends, however that happens.

Run as a file, by `python -I -S`: it is the same process that becomes the command, so it loads next to nothing.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Arguments: the starter's process ID, then the command."""
    starter, *command = sys.argv[1:]
    # Survives exec. It is sent when the thread that started us ends, which is the starter's main thread.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == int(starter):
        os.execv(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
