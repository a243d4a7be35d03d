"""What is looked at of a server, each part broken once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.health.state import State, of_error
from assay.keymanager.memory import MemoryKeyManager
from assay.rpc.server import Server
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay.wire.service import BUNDLE, served
from assay_server.api.bundle import BundleApi
from assay_server.authorization.ratelimit import RateLimits
from assay_server.ca import CaManager, CaSettings
from assay_server.ca.manager import TICK
from assay_server.credential import CredentialSettings, Issuer
from assay_server.datastore.sql.store import SqlStore
from assay_server.health import ROTATION_FAILURES, server_checks
from assay_server.model.rates import Rates
from assay_server.registration.bundles import BundleService

HOME = TrustDomain("example.org")


@dataclass
class House:
    store: SqlStore
    ca: CaManager
    server: Server
    socket: Path
    clock: FakeClock

    async def look(self, *, ca: CaManager | None = None) -> dict[str, State]:
        issuer = Issuer(HOME, ca or self.ca, self.clock, CredentialSettings())
        checks = server_checks(self.store, HOME, self.ca, issuer, self.socket)
        return {name: await check() for name, check in checks.items()}


@pytest.fixture
async def house(store: SqlStore, clock: FakeClock, tmp_path: Path) -> AsyncIterator[House]:
    ca = CaManager(store, MemoryKeyManager(), clock, CaSettings(), HOME)
    await ca.start()
    server = Server()
    server.add_generic_rpc_handlers(
        (served(BUNDLE, BundleApi(BundleService(store, HOME), RateLimits(Rates(), clock))),)
    )
    await server.listen_unix(tmp_path / "api.sock")
    yield House(store, ca, server, tmp_path / "api.sock", clock)
    await server.close(0)


async def test_a_server_that_runs_is_well_in_all_parts(house: House) -> None:
    states = await house.look()
    assert list(states) == ["catalog.datastore", "server", "server.ca", "server.ca.rotator"]
    assert all(state == of_error("any", "") for state in states.values())


async def faults(house: House, *, ca: CaManager | None = None) -> dict[str, str]:
    found = await house.look(ca=ca)
    assert all(state.live == state.ready for state in found.values())
    return {name: str(dict(state.ready_details)) for name, state in found.items() if state.fault}


async def test_a_store_that_is_gone(house: House) -> None:
    await house.store.close()
    found = await faults(house)
    assert found.keys() == {"catalog.datastore", "server"}
    assert "list_bundle_err" in found["catalog.datastore"]
    assert "{'get_bundle_err': 'unable to fetch bundle: " in found["server"]


async def test_a_socket_on_which_nobody_answers(house: House) -> None:
    await house.server.close(0)
    assert (await faults(house)).keys() == {"server"}


async def test_a_ca_that_cannot_sign(house: House) -> None:
    idle = CaManager(house.store, MemoryKeyManager(), house.clock, CaSettings(), HOME)
    assert await faults(house, ca=idle) == {
        "server.ca": "{'sign_x509_svid_err': 'X509 CA is not available for signing'}"
    }


async def test_rotation_that_fails_again_and_again(house: House) -> None:
    house.clock.advance(20 * 3600)  # the next authorities are due
    await house.store.close()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(house.ca.run())
        for failures in range(ROTATION_FAILURES + 1):
            await house.clock.wait_sleepers()
            assert house.ca.failed_rotations == failures
            assert "server.ca.rotator" not in await faults(house)
            house.clock.advance(TICK)
        await house.clock.wait_sleepers()
        assert (await faults(house))["server.ca.rotator"] == (
            "{'rotation_err': 'rotations exceed the threshold number of failures'}"
        )
        task.cancel()


async def test_a_rotation_that_succeeds_makes_up_for_those_that_failed(house: House) -> None:
    house.ca._failures = dict.fromkeys(house.ca._failures, ROTATION_FAILURES + 1)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(house.ca.run())
        await house.clock.wait_sleepers()
        house.clock.advance(TICK)
        await house.clock.wait_sleepers()
        assert await faults(house) == {}
        task.cancel()
