"""Where an agent listens, as the kernel tells it."""

import contextlib
from pathlib import Path

import pytest

from assay.testing.deployment import Deployment

_LISTEN = "0A"


def listening(pid: int) -> list[str]:
    """The TCP addresses that a process listens on, as in /proc/net/tcp."""
    mine: set[str] = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            mine.add(str(fd.readlink()))
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
    ]
    return [line[1] for line in lines if line[3] == _LISTEN and f"socket:[{line[9]}]" in mine]


@pytest.mark.spec("WEP-2-a", "WEP-2-b", "WEP-3-c")
def test_an_agent_is_in_reach_of_its_own_host_alone(deployment: Deployment) -> None:
    assert listening(deployment.processes["agent"].pid) == []
    assert listening(deployment.processes["server"].pid), "a server listens on TCP, so this would have shown"
