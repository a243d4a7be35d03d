"""SVIDs of instances are signed on demand, renewed while followed, and gone when their processes have ended."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from assay.entry import Entry
from assay.errors import AssayError, PermissionDeniedError, UnavailableError
from assay.selector import Selector
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.transport.peer import Process, UnixPeer
from assay_agent.cache import Cache, Update
from assay_agent.client.values import InstanceRequest
from assay_agent.instance.known import Instance
from assay_agent.instance.svids import InstanceSvids
from assay_agent.sync.signer import SigningSettings

LIMIT = 3


@dataclass
class Server:
    """Signs, or does what a test says."""

    authority: Authority
    clock: FakeClock
    failures: list[AssayError] = field(default_factory=list)
    refused: dict[str, AssayError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def new_instance_svids(self, requests: Sequence[InstanceRequest]) -> list[tuple[bytes, ...] | AssayError]:
        self.asked += [one.value for one in requests]
        if self.failures:
            raise self.failures.pop(0)
        return [self.refused.get(one.value) or self._chain(one) for one in requests]

    def _chain(self, request: InstanceRequest) -> tuple[bytes, ...]:
        path = f"/principal/bot/{request.value}"
        return (self.authority.sign_request(request.csr, path, now=self.clock.now()),)


def nobody() -> None:
    pass


class House:
    """The loop at work, and the ways to move it."""

    def __init__(self, cache: Cache, server: Server, clock: FakeClock, authority: Authority) -> None:
        self.cache, self.server, self.clock = cache, server, clock
        self.svids = InstanceSvids(cache, server, clock, SigningSettings(limit=LIMIT), lambda: 0.5)
        self.entry = Entry(
            "bots", authority.id("/principal/bot"), authority.id("/agent"), (Selector("unix", "uid:1"),),
            principal="bot", instance_from="unix:process",
        )  # fmt: skip
        self.apply(self.entry)

    def apply(self, *entries: Entry, removed: tuple[str, ...] = ()) -> None:
        self.cache.apply(Update(entries=entries, removed=removed))
        self.svids.changed()

    def follow(self, value: str, peer: UnixPeer, wake: Callable[[], object] = nobody) -> Instance:
        return self.svids.follow(self.cache.entries["bots"], value, peer, wake)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():  # noqa: ASYNC110 - many things may make it true
                await asyncio.sleep(0.001)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.svids.run())
            yield
            task.cancel()


@pytest.fixture
def authority() -> Authority:
    return Authority("example.org")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def house(authority: Authority, clock: FakeClock) -> House:
    cache = Cache(authority.trust_domain)
    cache.apply(Update(snapshot=True, bundles=[authority.bundle]))
    return House(cache, Server(authority, clock), clock, authority)


@dataclass
class Child:
    """A process of the test's, as a peer."""

    process: asyncio.subprocess.Process
    peer: UnixPeer

    async def end(self) -> None:
        self.process.kill()
        await self.process.wait()


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec("sleep", "300")
    peer = UnixPeer(process.pid, os.getuid(), os.getgid(), Process.open(process.pid))
    yield Child(process, peer)
    peer.close()
    if process.returncode is None:
        process.kill()
    await process.wait()


@pytest.fixture
def me() -> UnixPeer:
    return UnixPeer(os.getpid(), os.getuid(), os.getgid(), Process.open(os.getpid()))


async def test_it_is_signed_when_it_is_followed_and_the_follower_is_told(house: House, me: UnixPeer) -> None:
    told = asyncio.Event()
    async with house.running():
        instance = house.follow("a", me, told.set)
        async with asyncio.timeout(10):
            await told.wait()
        assert instance.identity is not None
        assert instance.identity.svid.spiffe_id.path == "/principal/bot/a"
        assert instance.identity.entry.spiffe_id == instance.identity.svid.spiffe_id
        assert house.follow("a", me) is instance
    assert house.server.asked == ["a"]


async def test_it_is_renewed_while_it_is_followed_and_not_afterwards(house: House, me: UnixPeer) -> None:
    async with house.running():
        instance = house.follow("a", me)
        await house.until(lambda: instance.identity is not None)
        first = instance.identity
        await house.clock.wait_sleepers()
        await house.clock.run(3600 * 0.58, step=20)
        await house.until(lambda: instance.identity is not first)
        house.svids.leave(instance, nobody)
        await house.clock.run(2 * 3600, step=60)
        assert len(house.server.asked) == 2
        # An expired one is not handed out to whoever comes next.
        assert house.follow("a", me).identity is None
        await house.until(lambda: instance.identity is not None)


async def test_it_goes_with_its_process(house: House, child: Child) -> None:
    async with house.running():
        instance = house.follow("a", child.peer)
        await house.until(lambda: instance.identity is not None)
        house.svids.leave(instance, nobody)
        assert len(house.svids) == 1
        await child.end()
        await house.until(lambda: len(house.svids) == 0)
        # Who comes with the same value afterwards, were that possible, gets nothing that was the other's.
        assert house.svids.follow(house.entry, "a", child.peer, nobody) is not instance


async def test_of_several_processes_the_last_takes_it_along(house: House, child: Child, me: UnixPeer) -> None:
    async with house.running():
        instance = house.follow("service", child.peer)
        assert house.follow("service", me) is instance
        house.svids.leave(instance, nobody)
        await child.end()
        await house.until(lambda: instance.processes == {me.pid})
        assert len(house.svids) == 1


async def test_where_the_end_of_a_process_cannot_be_known_nothing_is_kept(house: House) -> None:
    unseen = UnixPeer(4, 0, 0, Process.unseen())
    instance = house.follow("a", unseen)
    house.svids.leave(instance, nobody)
    assert len(house.svids) == 0


async def test_of_those_that_nobody_follows_the_newest_are_kept(house: House, me: UnixPeer) -> None:
    held = [house.follow(str(number), me) for number in range(10)]
    assert len(house.svids) == 10
    for instance in held[1:]:
        house.svids.leave(instance, nobody)
    assert len(house.svids) == LIMIT + 1
    assert house.follow("0", me) is held[0]
    assert house.follow("9", me) is held[9]


async def test_it_goes_with_its_entry_and_the_follower_is_told(house: House, me: UnixPeer) -> None:
    told = asyncio.Event()
    async with house.running():
        instance = house.follow("a", me, told.set)
        await house.until(lambda: instance.identity is not None)
        told.clear()
        house.apply(removed=("bots",))
        async with asyncio.timeout(10):
            await told.wait()
        assert len(house.svids) == 0
        house.svids.leave(instance, told.set)


async def test_what_the_certificate_shows_is_signed_anew(house: House, me: UnixPeer) -> None:
    async with house.running():
        instance = house.follow("a", me)
        await house.until(lambda: instance.identity is not None)
        house.apply(replace(house.entry, dns_names=("a.test",), revision=1))
        await house.until(lambda: len(house.server.asked) == 2)
        house.apply(replace(house.entry, dns_names=("a.test",), hint="h", revision=2))
        await house.until(lambda: instance.entry.hint == "h")
    assert len(house.server.asked) == 2


async def test_a_refusal_is_said_and_tried_again_later_or_when_the_entry_changes(house: House, me: UnixPeer) -> None:
    house.server.refused["a"] = PermissionDeniedError("principal is not active: staged")
    async with house.running():
        refused, other = house.follow("a", me), house.follow("b", me)
        await house.until(lambda: refused.settled and other.settled)
        assert isinstance(refused.refusal, PermissionDeniedError)
        assert other.identity is not None
        assert house.server.asked.count("a") == 1
        del house.server.refused["a"]
        house.apply(replace(house.entry, hint="h", revision=1))
        await house.until(lambda: refused.identity is not None)


@pytest.mark.parametrize("back", [True, False])
async def test_a_server_that_fails_is_asked_again_in_time_or_when_it_is_back(
    house: House, me: UnixPeer, *, back: bool
) -> None:
    house.server.failures = [UnavailableError("gone")]
    async with house.running():
        instance = house.follow("a", me)
        await house.clock.wait_sleepers()
        assert not instance.settled
        if back:
            house.svids.reachable()
        else:
            house.clock.advance(1)
        await house.until(lambda: instance.identity is not None)


async def test_what_an_authority_signed_that_is_gone_is_signed_anew(house: House, me: UnixPeer) -> None:
    async with house.running():
        instance = house.follow("a", me)
        await house.until(lambda: instance.identity is not None)
        first = instance.identity
        house.server.authority = Authority("example.org")
        house.cache.apply(Update(bundles=[replace(house.server.authority.bundle, sequence=2)]))
        house.svids.changed()
        await house.until(lambda: instance.identity is not first)


async def test_many_at_once_are_all_signed(house: House, me: UnixPeer) -> None:
    async with house.running():
        held = [house.follow(str(number), me) for number in range(150)]
        await house.until(lambda: all(one.identity is not None for one in held))
    assert sorted(house.server.asked) == sorted(str(number) for number in range(150))


async def test_other_settings_take_effect_on_what_is_there(house: House, me: UnixPeer) -> None:
    async with house.running():
        held = [house.follow(str(number), me) for number in range(LIMIT)]
        await house.until(lambda: all(one.identity is not None for one in held))
        house.svids.use(SigningSettings(limit=1))
        for instance in held:
            house.svids.leave(instance, nobody)
    assert len(house.svids) == 1
