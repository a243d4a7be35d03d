"""A server that signs and lists entries, in memory: the two ports of the client that sync stands on."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import AssayError, NotFoundError, ResourceExhaustedError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay_agent.cache.cache import Cache
from assay_agent.client.values import EntryChanges, Position, Signed, WatchUpdate


@dataclass
class Server:
    """What the server would do. `failures` are raised first, one for each request that signs."""

    authority: Authority
    clock: FakeClock
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    failures: list[AssayError] = field(default_factory=list[AssayError])
    refused: dict[str, AssayError] = field(default_factory=dict[str, AssayError])
    most: int = 500
    lifetime: int = 3600
    behind: float = 0.0
    """Seconds by which its clock is behind the agent's."""
    batches: list[list[str]] = field(default_factory=list[list[str]])
    signed: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def new_x509_svids(self, requests: Sequence[tuple[str, bytes]]) -> Signed:
        self.batches.append([entry_id for entry_id, _ in requests])
        self.signed.set()
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if len(requests) > self.most:
            raise ResourceExhaustedError(f"more than {self.most}")
        answers = {one: self._sign(one, csr) for one, csr in requests if one not in self.refused}
        refused = {one: self.refused[one] for one, _ in requests if one in self.refused}
        missing = {one: NotFoundError("entry not found") for one, chain in answers.items() if chain is None}
        return Signed({one: chain for one, chain in answers.items() if chain is not None}, {**refused, **missing})

    def _sign(self, entry_id: str, csr: bytes) -> tuple[bytes, ...] | None:
        entry = self.entries.get(entry_id)
        if entry is None:
            return None
        path = entry.spiffe_id.path
        now = self.clock.now() - timedelta(seconds=self.behind)
        return (self.authority.sign_request(csr, path, now=now, lifetime=self.lifetime),)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def cache(authority: Authority) -> Cache:
    return Cache(authority.trust_domain)


@pytest.fixture
def server(authority: Authority, clock: FakeClock) -> Server:
    return Server(authority, clock)


@pytest.fixture
def entry(authority: Authority) -> Callable[..., Entry]:
    """An entry by number; other fields by name."""

    def make(number: int, **fields: object) -> Entry:
        made: dict[str, object] = {
            "id": f"entry-{number:04}",
            "spiffe_id": authority.id(f"/workload/{number}"),
            "parent_id": authority.id("/spire/agent/a"),
            "selectors": (Selector("unix", f"uid:{number}"),),
            "created_at": 1,
            **fields,
        }
        return Entry(**made)  # type: ignore[arg-type]

    return make


@dataclass
class Script:
    """What a client's watch and poll give, round by round."""

    rounds: list[Sequence[WatchUpdate | AssayError]] = field(default_factory=list)
    polls: list[EntryChanges | AssayError] = field(default_factory=list)
    own: Bundle | None = None
    federated: Mapping[TrustDomain, Bundle] = field(default_factory=dict)
    positions: list[Position | None] = field(default_factory=list)
    known: list[dict[str, Entry]] = field(default_factory=list)
    asked: list[list[TrustDomain]] = field(default_factory=list)
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self, position: Position | None) -> AsyncGenerator[WatchUpdate]:
        self.positions.append(position)
        if not self.rounds:
            self.idle.set()
            await asyncio.Event().wait()
        for step in self.rounds.pop(0):
            if isinstance(step, AssayError):
                raise step
            yield step

    async def sync_entries(self, known: Mapping[str, Entry]) -> EntryChanges:
        self.known.append(dict(known))
        if not self.polls:
            self.idle.set()
            await asyncio.Event().wait()
        step = self.polls.pop(0)
        if isinstance(step, AssayError):
            raise step
        return step

    async def bundle(self) -> Bundle:
        if self.own is None:
            raise NotFoundError("bundle not found")
        return self.own

    async def federated_bundles(self, trust_domains: Sequence[TrustDomain]) -> Sequence[Bundle]:
        self.asked.append(list(trust_domains))
        return [self.federated[one] for one in trust_domains if one in self.federated]


@pytest.fixture
def script(authority: Authority) -> Script:
    return Script(own=authority.bundle)


@pytest.fixture
def agent_id() -> SpiffeId:
    return SpiffeId.parse("spiffe://example.org/spire/agent/a")
