"""An agent's workload side on a real socket, with a server that mints tokens on the spot."""
# ruff: noqa: ANN401 - fields of entries and settings pass through by name

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from grpc import aio

from assay.bundle import Bundle
from assay.clock import Clock, SystemClock
from assay.entry import Entry
from assay.errors import AssayError
from assay.plugin.workloadattestor import WorkloadAttestor
from assay.rpc.method import Method
from assay.selector import Selector
from assay.svid import X509Svid
from assay.testing.authority import Authority
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay.workloadapi.wire import Stub
from assay_agent.cache import Cache, Update
from assay_agent.cache.jwt import JwtCache
from assay_agent.cache.wit import WitCache
from assay_agent.client.values import InstanceRequest, PrincipalJwt
from assay_agent.config.settings import SdsSettings
from assay_agent.endpoints import Endpoints
from assay_agent.instance.instances import Instances
from assay_agent.instance.svids import InstanceSvids
from assay_agent.instance.tokens import PrincipalTokens
from assay_agent.instance.values import InstanceValues
from assay_agent.plugins.workloadattestor_unix import UnixAttestor
from assay_agent.sds.service import SdsService
from assay_agent.sync.signer import SigningSettings
from assay_agent.workload.api import WorkloadApi, WorkloadApiSettings
from assay_agent.workload.attestor import Attestor
from assay_agent.workload.caller import Callers
from assay_agent.workload.ratelimit import SelectorLimits

ME = f"uid:{os.geteuid()}"
SDS = SdsSettings()


@dataclass(frozen=True)
class Minted:
    token: str
    issued_at: int
    expires_at: int


@dataclass
class Minter:
    """A server that mints whatever the cache holds an entry for, or fails."""

    authority: Authority
    cache: Cache
    failure: AssayError | None = None
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    before: Callable[[], Awaitable[None]] | None = None
    clock: Clock = field(default_factory=SystemClock)
    refused: dict[str, AssayError] = field(default_factory=dict)
    task_id: str = "tsk_1"

    async def new_jwt_svid(self, entry_id: str, audience: Sequence[str]) -> Minted:
        if self.before is not None:
            await self.before()
        self.asked.append((entry_id, tuple(audience)))
        if self.failure is not None:
            raise self.failure
        token = self.authority.jwt_svid(self.cache.entries[entry_id].spiffe_id.path, audience)
        issued = int(self.authority.now.timestamp())
        return Minted(token, issued, issued + 300)

    async def new_wit_svid(self, entry_id: str, public_key: bytes, algorithm: str) -> Minted:
        if self.before is not None:
            await self.before()
        self.asked.append((entry_id, (algorithm,)))
        if (failure := self.failure or self.refused.get(entry_id)) is not None:
            raise failure
        path = self.cache.entries[entry_id].spiffe_id.path
        token = self.authority.wit_svid(path, public_key=public_key, algorithm=algorithm)
        issued = int(self.clock.now().timestamp())
        return Minted(token, issued, issued + 3600)

    async def new_instance_svids(self, requests: Sequence[InstanceRequest]) -> list[tuple[bytes, ...] | AssayError]:
        if self.before is not None:
            await self.before()
        if self.failure is not None:
            raise self.failure
        return [self.refused.get(one.entry_id) or self._instance(one) for one in requests]

    def _instance(self, request: InstanceRequest) -> tuple[bytes, ...]:
        self.asked.append((request.entry_id, (request.value,)))
        return (self.authority.sign_request(request.csr, self.instance_path(request.entry_id, request.value)),)

    def instance_path(self, entry_id: str, value: str) -> str:
        """Who an instance is."""
        return f"{self.cache.entries[entry_id].spiffe_id.path}/{value.replace(':', '-')}"

    async def new_instance_jwt(self, entry_id: str, value: str, audience: Sequence[str]) -> PrincipalJwt:
        self.asked.append((entry_id, tuple(audience)))
        if (failure := self.failure or self.refused.get(entry_id)) is not None:
            raise failure
        path = self.instance_path(entry_id, value) if value else self.cache.entries[entry_id].spiffe_id.path
        issued = int(self.authority.now.timestamp())
        return PrincipalJwt(
            self.authority.jwt_svid(path, audience), self.authority.id(path), issued, issued + 300, self.task_id
        )

    async def new_instance_wit(self, entry_id: str, value: str, public_key: bytes, algorithm: str) -> Minted:
        self.asked.append((entry_id, (value, algorithm)))
        if (failure := self.failure or self.refused.get(entry_id)) is not None:
            raise failure
        path = self.instance_path(entry_id, value) if value else self.cache.entries[entry_id].spiffe_id.path
        token = self.authority.wit_svid(path, public_key=public_key, algorithm=algorithm)
        issued = int(self.clock.now().timestamp())
        return Minted(token, issued, issued + 300)


class LocalAgent:
    """The workload side of an agent, served at `path`."""

    def __init__(
        self, path: Path, authority: Authority, cache: Cache, endpoints: Endpoints, minter: Minter, wits: WitCache
    ) -> None:
        self.path = path
        self.wits = wits
        self.authority = authority
        self.cache = cache
        self.endpoints = endpoints
        self.minter = minter

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.of_path(self.path)

    def client(self) -> WorkloadApiClient:
        return WorkloadApiClient(self.endpoint)

    def entry(self, entry_id: str, path: str, *selectors: str, **fields: Any) -> Entry:
        """An entry for processes of this user, unless selectors are given as `type:value`."""
        return Entry(
            id=entry_id,
            spiffe_id=self.authority.id(path),
            parent_id=self.authority.id("/agent"),
            selectors=tuple(Selector.parse(one) for one in selectors) or (Selector("unix", ME),),
            **fields,
        )

    def register(self, entry_id: str, path: str, *selectors: str, **fields: Any) -> Entry:
        """Make the entry known and sign its SVID."""
        entry = self.entry(entry_id, path, *selectors, **fields)
        self.cache.apply(Update(entries=[entry]))
        self.rotate(entry_id)
        return entry

    def rotate(self, entry_id: str) -> X509Svid:
        """Sign anew."""
        svid = self.authority.x509_svid(self.cache.entries[entry_id].spiffe_id.path)
        self.cache.set_svid(entry_id, svid)
        return svid

    def remove(self, *entry_ids: str) -> None:
        self.cache.apply(Update(removed=entry_ids))

    def publish(self, *bundles: Bundle) -> None:
        self.cache.apply(Update(bundles=bundles))

    def switch_wit_on(self) -> Bundle:
        """The own bundle with the WIT key that tokens are signed with."""
        old = self.cache.bundles[self.authority.trust_domain]
        new = replace(old, wit_authorities=(self.authority.wit_authority,), sequence=old.sequence + 1)
        self.publish(new)
        return new

    def change_bundle(self) -> Bundle:
        """Another own bundle: one more authority."""
        old = self.cache.bundles[self.authority.trust_domain]
        more = Authority(self.authority.trust_domain.name).bundle
        new = replace(
            old,
            x509_authorities=(*old.x509_authorities, *more.x509_authorities),
            jwt_authorities=(*old.jwt_authorities, replace(more.jwt_authorities[0], key_id=f"key-{old.sequence}")),
            sequence=old.sequence + 1,
        )
        self.publish(new)
        return new


class Agents(Protocol):
    def __call__(
        self,
        *,
        plugins: Sequence[WorkloadAttestor] | None = None,
        synced: bool = True,
        own_pid: int = 0,
        sds: SdsSettings | None = None,
        limits: SelectorLimits | None = None,
        observers: Sequence[Callable[[Method], Method]] = (),
        log_selectors: Sequence[str] = (),
        **settings: Any,
    ) -> Awaitable[LocalAgent]: ...


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The agent's trust domain, whose credentials are valid now: foreign clients look at the machine's clock."""
    return Authority("example.org", now=SystemClock().now())


@pytest.fixture
def clock() -> Clock:
    return SystemClock()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        yield Path(name)


@pytest.fixture
async def agents(folder: Path, authority: Authority, clock: Clock) -> AsyncIterator[Agents]:
    """Starts agents; the first at FOLDER/public/api.sock."""
    started: list[Endpoints] = []
    signing: list[asyncio.Task[None]] = []

    async def start(
        *,
        plugins: Sequence[WorkloadAttestor] | None = None,
        synced: bool = True,
        own_pid: int = 0,
        sds: SdsSettings | None = SDS,
        limits: SelectorLimits | None = None,
        observers: Sequence[Callable[[Method], Method]] = (),
        log_selectors: Sequence[str] = (),
        **settings: Any,
    ) -> LocalAgent:
        path = folder / f"public{len(started) or ''}" / "api.sock"
        cache = Cache(authority.trust_domain, patience=0.05)
        cache.apply(Update(snapshot=synced, bundles=[authority.bundle]))
        endpoints = Endpoints(path, observers)
        minter = Minter(authority, cache, clock=clock)
        attestor = Attestor([UnixAttestor(clock)] if plugins is None else plugins, own_pid=own_pid)
        callers = Callers(endpoints.peer, attestor, own_pid=own_pid, log_selectors=log_selectors)
        wits = WitCache(minter, clock)
        svids = InstanceSvids(cache, minter, clock, SigningSettings(), lambda: 0.0)
        signing.append(asyncio.create_task(svids.run()))  # noqa: TID251 - cancelled below
        instances = Instances(
            cache, svids, InstanceValues(lambda: attestor.plugins), PrincipalTokens(minter, clock), patience=0.5
        )
        api = WorkloadApi(
            cache,
            JwtCache(minter, clock),
            wits,
            callers,
            instances,
            clock,
            WorkloadApiSettings(authority.trust_domain, **settings),
            limits,
        )
        endpoints.serve(api)
        if sds is not None:
            endpoints.serve_sds(SdsService(cache, callers, instances, sds, limits))
        await endpoints.start()
        started.append(endpoints)
        return LocalAgent(path, authority, cache, endpoints, minter, wits)

    yield start
    for endpoints in started:
        await endpoints.close()
    for task in signing:
        task.cancel()
    await asyncio.gather(*signing, return_exceptions=True)


@pytest.fixture
async def agent(agents: Agents) -> LocalAgent:
    """One agent that is synced and has no entries."""
    return await agents()


@pytest.fixture
async def client(agent: LocalAgent) -> AsyncIterator[WorkloadApiClient]:
    """A client of it in this process."""
    async with agent.client() as client:
        yield client


@pytest.fixture
async def stub(agent: LocalAgent) -> AsyncIterator[Stub]:
    """Its API as messages."""
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        yield Stub(channel)


Quiet = Callable[[], Awaitable[None]]


@pytest.fixture
def settle() -> Quiet:
    """Lets the loop and gRPC's threads come to rest, for tests that nothing more happens."""

    async def wait() -> None:
        await asyncio.sleep(0.05)

    return wait
