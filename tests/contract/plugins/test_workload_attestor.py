"""What every workload attestor keeps to."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.config.plugin import Plugin
from assay.errors import AssayError, InvalidArgumentError
from assay.plugin.external import Host
from assay.plugin.workloadattestor import TellingInstances, WorkloadAttestor, withheld_by
from assay_agent.plugins import builtin
from assay_agent.plugins.workloadattestor_systemd import SystemdAttestor

PLUGINS: dict[str, tuple[str, dict[str, Any]]] = {
    "unix": ("unix", {}),
    "unix with path": ("unix", {"discover_workload_path": True}),
    "systemd": ("systemd", {}),
    "acme": ("acme", {}),
    "documented": ("acme", {"prefix": "test-"}),
}


Appear = Callable[[int], object]


@pytest.fixture
def appear(tmp_path: Path) -> Appear:
    """Have a process belong to a unit in the host that the systemd attestor is shown."""
    (tmp_path / "run/systemd/units").mkdir(parents=True)
    (tmp_path / "run/systemd/units/invocation:app.service").symlink_to("5d" * 16)

    def belong(pid: int) -> None:
        folder = tmp_path / f"proc/{pid}"
        folder.mkdir(parents=True)
        (folder / "cgroup").write_text("0::/system.slice/app.service\n")

    belong(os.getpid())
    return belong


@pytest.fixture(params=PLUGINS)
def attestor(request: pytest.FixtureRequest, host: Host, tmp_path: Path, appear: Appear) -> WorkloadAttestor:
    del appear
    if request.param == "systemd":
        return SystemdAttestor(tmp_path)
    if request.param in {"acme", "documented"}:
        request.getfixturevalue(request.param)
    return builtin.workload_attestor(Plugin(*PLUGINS[request.param]), host)


async def test_selectors_are_of_its_type_and_of_the_process(attestor: WorkloadAttestor) -> None:
    found = await attestor.attest(os.getpid())
    assert found
    assert {one.type for one in found} == {attestor.name}
    assert set(await attestor.attest(os.getpid())) == set(found)


async def test_a_process_that_is_gone_is_a_refusal(attestor: WorkloadAttestor) -> None:
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    with pytest.raises(AssayError):
        await attestor.attest(gone.pid)


async def test_many_are_attested_at_once(attestor: WorkloadAttestor, appear: Appear) -> None:
    sleeper = await asyncio.create_subprocess_exec("sleep", "60")
    appear(sleeper.pid)
    pids = [os.getpid(), sleeper.pid] * 8
    try:
        found = await asyncio.gather(*(attestor.attest(pid) for pid in pids))
    finally:
        sleeper.kill()
        await sleeper.wait()
    assert len({frozenset(one) for one in found[::2]}) == len({frozenset(one) for one in found[1::2]}) == 1


async def test_what_it_withholds_it_does_not_find(attestor: WorkloadAttestor) -> None:
    kinds = {one.value.partition(":")[0] for one in await attestor.attest(os.getpid())}
    assert kinds.isdisjoint(withheld_by(attestor))


@pytest.mark.parametrize("attestor", ["unix", "unix with path"], indirect=True)
async def test_instances_that_it_tells_are_no_selectors_and_stay_the_same(
    attestor: WorkloadAttestor, appear: Appear
) -> None:
    assert isinstance(attestor, TellingInstances)
    sleeper = await asyncio.create_subprocess_exec("sleep", "60")
    appear(sleeper.pid)
    try:
        for key in attestor.instance_keys:
            own, again, other = [await attestor.instance(key, pid) for pid in (os.getpid(), os.getpid(), sleeper.pid)]
            assert own == again != other
            assert all(f"{key}:" not in one.value for one in await attestor.attest(os.getpid()))
    finally:
        sleeper.kill()
        await sleeper.wait()
    for key in attestor.instance_keys:
        with pytest.raises(AssayError):
            await attestor.instance(key, sleeper.pid)


def test_another_packages_own_faults_name_the_plugin(acme: object, host: Host) -> None:
    del acme
    with pytest.raises(InvalidArgumentError, match=r'WorkloadAttestor "acme" of acme-assay 1.0: unknown key x'):
        builtin.workload_attestor(Plugin("acme", {"x": 1}), host)
