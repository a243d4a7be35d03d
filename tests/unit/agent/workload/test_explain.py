"""GetView over a real socket."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assay.clock import SystemClock
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.authority import Authority
from assay_agent.admin.endpoints import AdminEndpoints
from assay_agent.cache import Cache, Update
from assay_agent.cli.explain.ask import ask_agent
from assay_agent.endpoints.private import PrivateEndpoint, private_socket
from assay_agent.explanation.scene import Sight
from assay_agent.plugins.workloadattestor_unix import UnixAttestor
from assay_agent.workload.attestor import Attestor
from assay_agent.workload.explain import ExplainApi
from assay_agent.workload.refusals import Refusals

ME = Selector("unix", f"uid:{os.geteuid()}")
# Asks as another user, whose group may open the socket if the file says so.
AS_ANOTHER = """
import asyncio, os, sys
from pathlib import Path
from assay.errors import AssayError
from assay_agent.cli.explain.ask import ask_agent
os.setgid(65534); os.setuid(65534)
try:
    asyncio.run(ask_agent(Path(sys.argv[1]), 0))
except AssayError as error:
    print(error.kind.value, error.message)
"""


@pytest.fixture
def ids() -> list[SpiffeId]:
    """The agent's ID, once it has one."""
    return []


@pytest.fixture
def cache(authority: Authority) -> Cache:
    return Cache(authority.trust_domain)


@pytest.fixture
async def path(folder: Path, cache: Cache, authority: Authority, ids: list[SpiffeId]) -> AsyncIterator[Path]:
    def agent_id() -> SpiffeId | None:
        return ids[0] if ids else None

    clock = SystemClock()
    attestor = Attestor([UnixAttestor(clock)], own_pid=0)
    refusals = Refusals(cache, clock, authority.trust_domain, attestor.plugins, agent_id)
    endpoint = PrivateEndpoint(folder, ExplainApi(cache, attestor, refusals, agent_id).register)
    await endpoint.start()
    yield private_socket(folder)
    await endpoint.close()


async def test_the_view_has_the_agents_side(
    path: Path, cache: Cache, authority: Authority, ids: list[SpiffeId]
) -> None:
    before = await ask_agent(path, 0)
    assert (before.agent.spiffe_id, before.agent.synced, before.workload) == (None, False, None)
    ids.append(authority.id("/spire/agent/x"))
    entries = [Entry(str(number), authority.id(f"/{number}"), ids[0], (ME,)) for number in range(500)]
    cache.apply(Update(snapshot=True, entries=entries, bundles=[authority.bundle]))
    cache.set_svid("7", authority.x509_svid("/7"))
    agent = (await ask_agent(path, 0)).agent
    assert (agent.spiffe_id, agent.synced) == (ids[0], True)
    assert agent.held == {one.id: one for one in entries}
    assert agent.signed == {"7"}
    assert set(agent.attestors["unix"]) == {"path", "sha256"}


async def test_a_process_is_attested_as_if_it_had_called(path: Path) -> None:
    found = (await ask_agent(path, os.getpid())).workload
    assert found is not None
    assert (found.pid, found.uid, found.sight) == (os.getpid(), os.geteuid(), Sight.SEEN)
    assert ME in found.selectors


async def test_a_process_that_is_gone(path: Path) -> None:
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    found = (await ask_agent(path, gone.pid)).workload
    assert found is not None
    assert found.sight is Sight.GONE


async def test_the_socket_and_its_folder_are_the_owners(path: Path) -> None:
    modes = [os.stat(one).st_mode & 0o777 for one in (path, path.parent)]  # noqa: PTH116 - of files made in this test
    assert modes == [0o600, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
async def test_another_user_is_refused_even_where_the_files_let_them_in(path: Path) -> None:
    for one in (path, path.parent, path.parent.parent):
        one.chmod(0o777)
    asking = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AS_ANOTHER, str(path), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asking.communicate()
    assert said == b"permission_denied only root and the agent's user may ask\n"


async def test_it_is_on_the_admin_socket_for_the_same_callers(folder: Path, cache: Cache, authority: Authority) -> None:
    attestor = Attestor([UnixAttestor(SystemClock())], own_pid=0)
    refusals = Refusals(cache, SystemClock(), authority.trust_domain, attestor.plugins, lambda: None)
    path = folder / "admin" / "api.sock"
    api = ExplainApi(cache, attestor, refusals, lambda: None)
    endpoints = AdminEndpoints(path, [api.service()])
    await endpoints.start()
    found = (await ask_agent(path, os.getpid())).workload
    assert found is not None
    assert ME in found.selectors
    if os.geteuid() == 0:
        for one in (path, path.parent, folder):
            one.chmod(0o777)
        command = (sys.executable, "-c", AS_ANOTHER, str(path))
        asking = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await asking.communicate()
        assert said == b"permission_denied only root and the agent's user may ask\n"
    await endpoints.close()
