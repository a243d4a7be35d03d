"""What every workload attestor keeps to."""

import asyncio
import os
from typing import Any

import pytest

from assay.config.plugin import Plugin
from assay.errors import AssayError, InvalidArgumentError
from assay.plugin.external import Host
from assay.plugin.workloadattestor import WorkloadAttestor, withheld_by
from assay_agent.plugins import builtin

PLUGINS: dict[str, tuple[str, dict[str, Any]]] = {
    "unix": ("unix", {}),
    "unix with path": ("unix", {"discover_workload_path": True}),
    "acme": ("acme", {}),
    "documented": ("acme", {"prefix": "test-"}),
}


@pytest.fixture(params=PLUGINS)
def attestor(request: pytest.FixtureRequest, host: Host) -> WorkloadAttestor:
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


async def test_many_are_attested_at_once(attestor: WorkloadAttestor) -> None:
    sleeper = await asyncio.create_subprocess_exec("sleep", "60")
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


def test_another_packages_own_faults_name_the_plugin(acme: object, host: Host) -> None:
    del acme
    with pytest.raises(InvalidArgumentError, match=r'WorkloadAttestor "acme" of acme-assay 1.0: unknown key x'):
        builtin.workload_attestor(Plugin("acme", {"x": 1}), host)
