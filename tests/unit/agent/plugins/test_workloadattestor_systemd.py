"""The systemd attestor on hosts made up for it: what it believes are control groups and systemd's own files."""

import asyncio
import os
from pathlib import Path

import pytest

from assay.errors import NotFoundError, UnavailableError
from assay_agent.plugins.workloadattestor_systemd import SystemdAttestor, unit_of

PID = 7
INVOCATION = "0f" * 16


class Host:
    """A root folder with the files that matter."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: str, text: str = "") -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def invoked(self, unit: str, invocation: str = INVOCATION) -> None:
        link = self.root / f"run/systemd/units/invocation:{unit}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(invocation)

    def runs(self, control_group: str, pid: int = PID) -> None:
        self.put(f"proc/{pid}/cgroup", f"0::{control_group}\n")

    async def selectors(self, pid: int = PID) -> list[str]:
        return [str(one) for one in await SystemdAttestor(self.root).attest(pid)]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def test_unit_file_and_invocation(host: Host) -> None:
    host.runs("/system.slice/app.service")
    host.put("etc/systemd/system/app.service")
    host.put("usr/lib/systemd/system/app.service")
    host.invoked("app.service")
    assert await host.selectors() == [
        "systemd:id:app.service",
        "systemd:fragment_path:/etc/systemd/system/app.service",
        f"systemd:invocation:{INVOCATION}",
    ]


async def test_an_instance_of_a_template_has_the_templates_file(host: Host) -> None:
    host.runs("/system.slice/system-worker.slice/worker@2.service")
    host.put("lib/systemd/system/worker@.service")
    assert "systemd:fragment_path:/lib/systemd/system/worker@.service" in await host.selectors()


async def test_without_file_the_path_is_empty_and_without_invocation_there_is_none(host: Host) -> None:
    host.runs("/user.slice/user-1000.slice/session-3.scope")
    assert await host.selectors() == ["systemd:id:session-3.scope", "systemd:fragment_path:"]


async def test_each_start_of_a_unit_is_another_invocation(host: Host) -> None:
    host.runs("/system.slice/app.service")
    host.invoked("app.service")
    before = await host.selectors()
    host.invoked("app.service", "1f" * 16)
    assert set(before) ^ set(await host.selectors()) == {
        f"systemd:invocation:{INVOCATION}",
        f"systemd:invocation:{'1f' * 16}",
    }


async def test_what_a_process_says_of_itself_is_not_looked_at(host: Host) -> None:
    """Requirement 4: an instance is attested. Anybody can set INVOCATION_ID."""
    claimed = "ab" * 16
    process = await asyncio.create_subprocess_exec("sleep", "60", env={**os.environ, "INVOCATION_ID": claimed})
    host.runs("/system.slice/app.service", process.pid)
    (host.root / f"proc/{process.pid}/environ").symlink_to(f"/proc/{process.pid}/environ")
    host.invoked("app.service")
    found = await host.selectors(process.pid)
    process.kill()
    await process.wait()
    assert f"systemd:invocation:{INVOCATION}" in found
    assert claimed not in str(found)


@pytest.mark.parametrize("target", ["", "../../etc", "ZZ" * 16, INVOCATION + "0", "0"])
async def test_an_invocation_that_is_none_is_left_out(host: Host, target: str) -> None:
    host.runs("/system.slice/app.service")
    host.invoked("app.service", target or "/")
    assert not [one for one in await host.selectors() if "invocation" in one]


async def test_a_process_that_is_gone(host: Host) -> None:
    with pytest.raises(UnavailableError):
        await host.selectors()


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/app.service\n", "app.service"),
        ("0::/system.slice/app.service/inner.service\n", "app.service"),
        ("0::/app.slice/app-a.slice/a.service/sub/group\n", "a.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/evil.service\n", "user@1000.service"),
        ("0::/system.slice/_tasks.service\n", "tasks.service"),
        ("0::/system.slice/dev-disk\\x2dby.swap\n", "dev-disk\\x2dby.swap"),
        ("4:memory:/x\n1:name=systemd:/system.slice/old.service\n0::/\n", "old.service"),
        ("12:cpu:/system.slice/other.service\n0::/system.slice/app.service", "app.service"),
    ],
)
def test_the_unit_is_the_first_below_the_slices(text: str, unit: str) -> None:
    assert unit_of(text) == unit


@pytest.mark.parametrize(
    "text",
    [
        "", "0::/\n", "0::/system.slice\n", "0::/docker/abc/app.service\n", "0::/../../app.service\n",
        "0::/a/b.service", "nonsense", "1:cpu:/system.slice/app.service\n", "0::/system.slice/a b.service\n",
        "0::/system.slice/.service\n",
    ],
)  # fmt: skip
def test_what_is_in_no_unit_is_refused(text: str) -> None:
    with pytest.raises(NotFoundError):
        unit_of(text)
