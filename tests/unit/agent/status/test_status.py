"""What verifiers of a host are told through the agent, over real sockets; the test speaks for the server."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from assay.clock import Clock
from assay.entry import Entry
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.method import Context
from assay.rpc.server import Server
from assay.rpc.status import EndError, StatusCode
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.status.view import StatusView
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.scripted import channel_to
from assay.testing.wait import until
from assay.wire.service import Exchange, served
from assay.workloadapi import Endpoint
from assay.workloadapi.wire import METADATA
from assay_agent.cache import Cache, Update
from assay_agent.client.server import ServerClient
from assay_agent.endpoints import Endpoints
from assay_agent.instance.instances import Instances
from assay_agent.instance.svids import InstanceSvids
from assay_agent.instance.tokens import PrincipalTokens
from assay_agent.instance.values import InstanceValues
from assay_agent.plugins.workloadattestor_unix import UnixAttestor
from assay_agent.status.api import MAX_REPORTS
from assay_agent.status.relay import LINGER
from assay_agent.status.service import StatusService
from assay_agent.sync.signer import SigningSettings
from assay_agent.workload.attestor import Attestor
from assay_agent.workload.caller import Callers
from assay_proto.status.v1 import status_pb2 as pb

ME = f"uid:{os.getuid()}"
AT = 1_800_000_000
WATCH = pb.DESCRIPTOR.services_by_name["Status"].methods_by_name["Watch"]


def revoked(jti: str) -> pb.Revoked:
    return pb.Revoked(jti=jti, task_id="tsk_1", expires_at=2**33, revoked_at=AT, cause="test")


def update(
    position: int, *jtis: str, incarnation: str = "one", snapshot: bool = False, more: bool = False
) -> pb.Update:
    return pb.Update(
        position=position, incarnation=incarnation, snapshot=snapshot, more=more, at=AT, interval=2,
        revoked=[revoked(jti) for jti in jtis], staleness={"consequential_read": 60} if snapshot else {},
    )  # fmt: skip


@dataclass
class Stream:
    """One of the agent's streams, as the server has it."""

    start: pb.Start
    heard: list[pb.AgentMessage] = field(default_factory=list)
    says: "asyncio.Queue[pb.StatusMessage | EndError]" = field(default_factory=asyncio.Queue)
    over: bool = False

    def tell(self, said: pb.Update) -> None:
        self.says.put_nowait(pb.StatusMessage(update=said))

    def take(self, reporter: str, last: int) -> None:
        self.says.put_nowait(pb.StatusMessage(taken=pb.ReportsTaken(reporter=reporter, last=last)))

    def fail(self, code: StatusCode = StatusCode.UNAVAILABLE) -> None:
        self.says.put_nowait(EndError(code, "gone"))

    @property
    def held(self) -> tuple[int, int, int]:
        found = [one.held for one in self.heard if one.HasField("held")]
        return (found[-1].position, found[-1].verifiers, found[-1].confirmed) if found else (0, 0, 0)

    @property
    def reports(self) -> list[pb.AgentReports]:
        return [one.reports for one in self.heard if one.HasField("reports")]


@dataclass
class ServerSide:
    """The server's end, as the test wants it."""

    streams: list[Stream] = field(default_factory=list)

    async def Watch(
        self, requests: AsyncIterator[pb.AgentMessage], _context: Context
    ) -> AsyncIterator[pb.StatusMessage]:
        stream = Stream((await anext(requests)).start)
        self.streams.append(stream)

        async def hear() -> None:
            async for message in requests:
                stream.heard.append(message)

        hearing = asyncio.ensure_future(hear())  # noqa: TID251 - ended below
        try:
            while True:
                said = await stream.says.get()
                if isinstance(said, EndError):
                    raise said
                yield said
        finally:
            stream.over = True
            hearing.cancel()

    async def stream(self, number: int) -> Stream:
        await until(lambda: len(self.streams) > number)
        return self.streams[number]


@dataclass
class House:
    cache: Cache
    server: ServerSide
    path: Path
    clock: FakeClock

    def bind(self, *names: str) -> None:
        entries = [
            Entry(
                name,
                SpiffeId.parse(f"spiffe://example.org/{name}"),
                SpiffeId.parse("spiffe://example.org/agent"),
                (Selector("unix", ME),),
            )
            for name in names
        ]
        self.cache.apply(Update(entries=entries))


@pytest.fixture
async def house(folder: Path, authority: Authority, clock: Clock) -> AsyncIterator[House]:
    side, relay_clock = ServerSide(), FakeClock()
    server = Server()
    server.add_generic_rpc_handlers((served(pb.DESCRIPTOR.services_by_name["AgentStatus"], side),))
    await server.listen_unix(folder / "server.sock")
    cache = Cache(authority.trust_domain)
    cache.apply(Update(snapshot=True, bundles=[authority.bundle]))
    endpoints = Endpoints(folder / "api.sock")
    callers = Callers(endpoints.peer, Attestor([UnixAttestor(clock)], own_pid=0), own_pid=0)
    async with ServerClient(lambda: channel_to(folder / "server.sock")) as client, asyncio.TaskGroup() as tasks:
        svids = InstanceSvids(cache, client, clock, SigningSettings(), lambda: 0.0)
        values = InstanceValues(lambda: callers.attestor.plugins)
        instances = Instances(cache, svids, values, PrincipalTokens(client, clock))
        status = StatusService(cache, callers, instances, client, relay_clock)
        endpoints.serve_more(status)
        running = tasks.create_task(status.run())
        await endpoints.start()
        house = House(cache, side, folder / "api.sock", relay_clock)
        house.bind("tool")
        yield house
        await endpoints.close()
        running.cancel()
    await server.close(0)


class Verifier:
    """A verifier's stream, and what it holds."""

    def __init__(self, stream: "Exchange[pb.VerifierMessage, pb.StatusMessage]", view: StatusView) -> None:
        self.stream = stream
        self.view = view

    async def hear(self, *, hold: bool = True) -> pb.StatusMessage:
        message = await self.stream.read()
        assert message is not None
        if message.HasField("update"):
            self.view.apply(message.update, AT)
            if hold:
                await self.say(held=pb.Held(position=self.view.position))
        return message

    async def say(self, **said: pb.Held | pb.Reports | pb.Start) -> None:
        await self.stream.write(pb.VerifierMessage(**said))  # type: ignore[arg-type]


@asynccontextmanager
async def listening(house: House, view: StatusView | None = None, *, begin: bool = True) -> AsyncIterator[Verifier]:
    channel = Channel(Endpoint.of_path(house.path).connect, max_message=MAX_MESSAGE_BYTES, metadata=METADATA)
    stream: Exchange[pb.VerifierMessage, pb.StatusMessage] = Exchange(channel, WATCH, pb.StatusMessage)
    one = Verifier(stream, view or StatusView())
    try:
        async with stream:
            if begin:
                await one.say(start=pb.Start(position=one.view.position, incarnation=one.view.incarnation))
            yield one
    finally:
        await channel.close()


async def refused(one: Verifier) -> EndError:
    with pytest.raises(EndError) as error:
        while True:
            await one.hear()
    return error.value


async def test_all_verifiers_of_a_host_are_served_by_one_stream(house: House) -> None:
    async with listening(house) as one, listening(house) as two:
        server = await house.server.stream(0)
        assert (server.start.position, server.start.incarnation) == (0, "")
        server.tell(update(5, "crd_1", snapshot=True, more=True))
        server.tell(update(5, "crd_2"))
        for each in (one, two):
            await each.hear()
            assert (each.view.position, len(list(each.view.revocations()))) == (5, 2)
            assert each.view.allowed_age("consequential_read") == 60
        await until(lambda: server.held == (5, 2, 2))
        server.tell(update(6, "crd_3"))
        assert (await one.hear()).update.snapshot is False
        await two.hear(hold=False)
        await until(lambda: server.held == (6, 2, 1))
        await two.say(held=pb.Held(position=6))
        await until(lambda: server.held == (6, 2, 2))
    await until(lambda: server.held == (6, 0, 0))
    assert len(house.server.streams) == 1


async def test_who_comes_later_is_served_from_what_the_agent_holds(house: House) -> None:
    async with listening(house) as one:
        server = await house.server.stream(0)
        server.tell(update(5, "crd_1", snapshot=True))
        await one.hear()
        async with listening(house) as late:
            assert (await late.hear()).update.snapshot
            assert late.view.revoked("crd_1")
        server.tell(update(6, "crd_2"))
        await one.hear()
        async with listening(house, late.view) as again:
            told = (await again.hear()).update
            assert (told.snapshot, [each.jti for each in told.revoked]) == (False, ["crd_2"])


async def test_while_the_server_is_away_nobody_is_told_that_all_is_well(house: House) -> None:
    async with listening(house) as one:
        server = await house.server.stream(0)
        server.tell(update(5, "crd_1", snapshot=True))
        await one.hear()
        server.fail()
        async with listening(house) as late:
            told = (await late.hear()).update
            assert (told.snapshot, told.at) == (True, AT), "as old as it is"
            await house.clock.wait_sleepers()
            house.clock.advance(1)
            server = await house.server.stream(1)
            assert (server.start.position, server.start.incarnation) == (5, "one")
            server.tell(update(7, "crd_2"))
            for each in (one, late):
                assert [found.jti for found in (await each.hear()).update.revoked] == ["crd_2"]


async def test_another_store_begins_anew_and_frees_nobody(house: House) -> None:
    async with listening(house) as one:
        server = await house.server.stream(0)
        server.tell(update(5, "crd_1", snapshot=True))
        await one.hear()
        server.tell(update(3, "crd_2", incarnation="restored", snapshot=True))
        assert (await one.hear()).update.snapshot
        assert (one.view.incarnation, one.view.position) == ("restored", 3)
        async with listening(house) as late:
            await late.hear()
            assert late.view.revoked("crd_1")


async def test_what_was_never_begun_is_not_believed(house: House) -> None:
    async with listening(house) as one:
        server = await house.server.stream(0)
        server.tell(update(5, "crd_1", snapshot=True))
        await one.hear()
        server.tell(update(9, incarnation="another"))
        await until(lambda: server.over)
        await house.clock.wait_sleepers()
        house.clock.advance(1)
        assert (await house.server.stream(1)).start.position == 5


async def test_the_server_is_listened_to_for_a_while_after_the_last_has_gone(house: House) -> None:
    async with listening(house) as one:
        server = await house.server.stream(0)
        server.tell(update(5, snapshot=True))
        await one.hear()
    await until(lambda: server.held == (5, 0, 0))
    await house.clock.wait_sleepers()
    async with listening(house) as one:
        await one.hear()
    await until(lambda: server.held == (5, 0, 0))
    await house.clock.wait_sleepers()
    house.clock.advance(LINGER)
    await until(lambda: server.over)
    async with listening(house) as one:
        server = await house.server.stream(1)
        assert server.start.position == 0
        server.tell(update(8, snapshot=True))
        await one.hear()


async def test_reports_go_with_what_attested_the_verifier_and_answers_come_back(house: House) -> None:
    async with listening(house) as one:
        server = await house.server.stream(0)
        await one.say(reports=pb.Reports(reporter="r", first=1, reports=[pb.Report(jti="crd_1")]))
        await until(lambda: bool(server.reports))
        (said,) = server.reports
        assert (said.entry_id, said.instance, said.reports.reporter, said.reports.first) == ("tool", "", "r", 1)
        server.take("other", 9)
        server.take("r", 1)
        assert (await one.hear()).taken == pb.ReportsTaken(reporter="r", last=1)


async def test_reports_that_were_not_answered_are_sent_again_to_the_next_server(house: House) -> None:
    async with listening(house) as one:
        server = await house.server.stream(0)
        server.tell(update(5, snapshot=True))
        await one.hear()
        for number in (1, 2):
            await one.say(reports=pb.Reports(reporter="r", first=number, reports=[pb.Report()]))
        await until(lambda: len(server.reports) == 1)
        server.take("r", 1)
        await one.hear()
        await until(lambda: len(server.reports) == 2)
        server.fail()
        await house.clock.wait_sleepers()
        house.clock.advance(1)
        server = await house.server.stream(1)
        await until(lambda: bool(server.reports))
        assert [said.reports.first for said in server.reports] == [2]


async def test_what_the_server_did_not_take_is_sent_again_before_what_comes_after_it(house: House) -> None:
    async with listening(house) as one:
        server = await house.server.stream(0)
        for first in (1, 4):
            said = [pb.Report(jti=f"crd_{number}") for number in range(first, first + 3)]
            await one.say(reports=pb.Reports(reporter="r", first=first, reports=said))
        await until(lambda: len(server.reports) == 1)
        server.take("r", 2)
        assert (await one.hear()).taken.last == 2
        await house.clock.wait_sleepers()
        assert len(server.reports) == 1, "not at once"
        house.clock.advance(1)
        await until(lambda: len(server.reports) == 2)
        assert (server.reports[1].reports.first, [each.jti for each in server.reports[1].reports.reports]) == (
            3,
            ["crd_3"],
        )
        server.take("r", 3)
        await until(lambda: len(server.reports) == 3)
        assert server.reports[2].reports.first == 4


async def test_a_flood_of_reports_waits_with_who_sends_it(house: House) -> None:
    async with listening(house) as one, listening(house) as other:
        server = await house.server.stream(0)
        for number in range(1, 20):
            await one.say(reports=pb.Reports(reporter="r", first=number, reports=[pb.Report()]))
        await until(lambda: len(server.reports) == 1)
        server.tell(update(5, snapshot=True))
        await other.hear()
        await until(lambda: server.held == (5, 2, 1))
        for number in range(1, 20):
            await until(lambda wanted=number: len(server.reports) >= wanted)  # type: ignore[misc]
            assert len(server.reports) == number
            server.take("r", number)
        assert [said.reports.first for said in server.reports] == list(range(1, 20))


async def test_reports_are_of_bounded_size(house: House) -> None:
    async with listening(house) as one:
        await house.server.stream(0)
        await one.say(reports=pb.Reports(reporter="x" * MAX_REPORTS))
        assert (await refused(one)).code is StatusCode.INVALID_ARGUMENT


async def test_a_server_that_tells_nothing_is_said_to_be_one(house: House) -> None:
    async with listening(house) as one:
        (await house.server.stream(0)).fail(StatusCode.UNIMPLEMENTED)
        assert (await refused(one)).code is StatusCode.UNIMPLEMENTED


async def test_who_loses_its_identity_is_told_no_more(house: House) -> None:
    async with listening(house) as one:
        server = await house.server.stream(0)
        server.tell(update(5, snapshot=True))
        await one.hear()
        house.cache.apply(Update(removed=["tool"]))
        server.tell(update(6))
        error = await refused(one)
        assert (error.code, error.message) == (StatusCode.PERMISSION_DENIED, "no identity issued")


async def test_only_calls_with_the_header_are_answered(house: House) -> None:
    stream: Exchange[pb.VerifierMessage, pb.StatusMessage]
    channel = channel_to(house.path)
    async with (stream := Exchange(channel, WATCH, pb.StatusMessage)):
        await stream.write(pb.VerifierMessage(start=pb.Start()))
        error = await refused(Verifier(stream, StatusView()))
    await channel.close()
    assert error.message == "security header missing from request"


FIRST: dict[str, Callable[[Verifier], object]] = {
    "held": lambda one: one.say(held=pb.Held(position=1)),
    "nothing": lambda one: one.say(),
}


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST.keys())
async def test_a_verifier_begins_with_what_it_holds(house: House, first: Callable[[Verifier], object]) -> None:
    async with listening(house, begin=False) as one:
        await first(one)  # type: ignore[misc]
        assert (await refused(one)).message == "the first message says what is held"
