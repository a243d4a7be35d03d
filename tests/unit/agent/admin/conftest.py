"""An agent's admin socket, with whatever processes of this user are entitled to as delegates."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from grpc import aio

from assay.clock import Clock
from assay.loglevel import LiveLevel
from assay.plugin.workloadattestor import WorkloadAttestor
from assay.rpc.server import peer_of
from assay.transport.dial import dial_unix
from assay_agent.admin.endpoints import AdminEndpoints
from assay_agent.admin.services import Observed, services
from assay_agent.cache.jwt import JwtCache
from assay_agent.plugins.workloadattestor_unix import UnixAttestor
from assay_agent.workload.attestor import Attestor
from assay_agent.workload.caller import Callers
from assay_proto.spire.api.agent.delegatedidentity.v1.delegatedidentity_pb2_grpc import DelegatedIdentityStub

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent

    from assay_proto.spire.api.agent.delegatedidentity.v1.delegatedidentity_pb2_grpc import (
        DelegatedIdentityAsyncStub,
    )

DELEGATE = "/delegate"


@dataclass
class Admin:
    """The admin socket of an agent; `chain` and `last_sync` are what its debug API is told."""

    agent: LocalAgent
    path: Path
    level: LiveLevel
    chain: tuple[bytes, ...] = ()
    last_sync: float = 0.0
    jwts: JwtCache = field(init=False)
    endpoints: AdminEndpoints = field(init=False)

    def channel(self) -> aio.Channel:
        return dial_unix(self.path)


class Admins(Protocol):
    def __call__(
        self, *, authorized: Iterable[str] = (DELEGATE,), plugins: Iterable[WorkloadAttestor] | None = None
    ) -> Awaitable[Admin]: ...


@pytest.fixture
async def admins(agent: LocalAgent, folder: Path, clock: Clock) -> AsyncIterator[Admins]:
    """Opens the admin socket of the agent."""
    opened: list[Admin] = []

    async def start(
        *, authorized: Iterable[str] = (DELEGATE,), plugins: Iterable[WorkloadAttestor] | None = None
    ) -> Admin:
        admin = Admin(agent, folder / "admin" / "api.sock", LiveLevel("info", logging.NullHandler()))
        admin.jwts = JwtCache(agent.minter, clock)
        attestor = Attestor([UnixAttestor(clock)] if plugins is None else list(plugins), own_pid=0)
        observed = Observed(
            agent.authority.trust_domain, agent.cache, admin.jwts, lambda: admin.chain, lambda: admin.last_sync
        )
        ids = frozenset(agent.authority.id(path) for path in authorized)
        callers = Callers(peer_of, attestor, own_pid=0)
        admin.endpoints = AdminEndpoints(admin.path, services(observed, callers, ids, admin.level, clock))
        await admin.endpoints.start()
        opened.append(admin)
        return admin

    yield start
    for admin in opened:
        await admin.endpoints.close()


@pytest.fixture
async def admin(admins: Admins) -> Admin:
    """One whose delegate nobody is yet."""
    return await admins()


@pytest.fixture
async def delegation(admin: Admin) -> AsyncIterator[DelegatedIdentityAsyncStub]:
    """Its Delegated Identity API, for this process, which is a delegate."""
    admin.agent.register("0", DELEGATE)
    async with admin.channel() as channel:
        yield DelegatedIdentityStub(channel)
