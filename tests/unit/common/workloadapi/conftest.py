"""A Workload API that says what a test wants it to say."""

import asyncio
import itertools
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from google.protobuf.message import Message
from grpc import StatusCode, aio

from assay.bundle import jwks
from assay.testing.authority import HOUR, Authority
from assay.testing.clock import FakeClock
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay.workloadapi.wire import Context, has_security_header, register
from assay_proto.workloadapi import workloadapi_pb2 as pb


@dataclass
class Scripted:
    """Answers every call with the next of `answers`: a message, bytes, or a status; streams send all there are."""

    answers: list[Message | bytes | StatusCode] = field(default_factory=list)
    requests: list[Message] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)

    async def FetchX509SVID(self, request: pb.X509SVIDRequest, context: Context) -> None:
        await self._stream(request, context)

    async def FetchX509Bundles(self, request: pb.X509BundlesRequest, context: Context) -> None:
        await self._stream(request, context)

    async def FetchJWTBundles(self, request: pb.JWTBundlesRequest, context: Context) -> None:
        await self._stream(request, context)

    async def FetchWITSVID(self, request: pb.WITSVIDRequest, context: Context) -> None:
        await self._stream(request, context)

    async def FetchWITBundles(self, request: pb.WITBundlesRequest, context: Context) -> None:
        await self._stream(request, context)

    async def FetchJWTSVID(self, request: pb.JWTSVIDRequest, context: Context) -> pb.JWTSVIDResponse:
        return await self._answer(request, context)  # type: ignore[return-value]

    async def ValidateJWTSVID(self, request: pb.ValidateJWTSVIDRequest, context: Context) -> pb.ValidateJWTSVIDResponse:
        return await self._answer(request, context)  # type: ignore[return-value]

    async def _stream(self, request: Message, context: Context) -> None:
        self._note(request, context)
        for answer in self.answers:
            if isinstance(answer, StatusCode):
                await context.abort(answer, "as scripted")
            await context.write(answer)

    async def _answer(self, request: Message, context: Context) -> Message | bytes:
        self._note(request, context)
        answer = self.answers.pop(0)
        if isinstance(answer, StatusCode):
            await context.abort(answer, "as scripted")
        return answer

    def _note(self, request: Message, context: Context) -> None:
        self.requests.append(request)
        self.secure.append(has_security_header(context))


@dataclass
class Agent:
    """An agent on one path that can be ended and started again. Streams send what `says` has, and again when told.

    `says` has, by method, a message, bytes that are none, or a status that ends the stream; None ends it cleanly. An
    unary method pops from `tokens`, once `gate` is open.
    """

    endpoint: Endpoint
    says: dict[str, Message | bytes | StatusCode | None] = field(default_factory=dict)
    tokens: list[Message | bytes | StatusCode] = field(default_factory=list)
    asked: list[pb.JWTSVIDRequest] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    streams: Counter[str] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)
    _turn: asyncio.Condition = field(default_factory=asyncio.Condition)
    _server: aio.Server | None = None

    async def start(self) -> None:
        self.gate.set()
        self._server = aio.server()
        register(self._server, self)
        self._server.add_insecure_port(self.endpoint.target)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def say(self, method: str, what: Message | bytes | StatusCode | None) -> None:
        """From now on, to open streams too."""
        async with self._turn:
            self.says[method] = what
            self._turn.notify_all()

    async def FetchX509SVID(self, _request: pb.X509SVIDRequest, context: Context) -> None:
        await self._stream("x509", context)

    async def FetchX509Bundles(self, _request: pb.X509BundlesRequest, context: Context) -> None:
        await self._stream("x509 bundles", context)

    async def FetchJWTBundles(self, _request: pb.JWTBundlesRequest, context: Context) -> None:
        await self._stream("jwt bundles", context)

    async def FetchWITSVID(self, _request: pb.WITSVIDRequest, context: Context) -> None:
        await self._stream("wit", context)

    async def FetchWITBundles(self, _request: pb.WITBundlesRequest, context: Context) -> None:
        await self._stream("wit bundles", context)

    async def ValidateJWTSVID(self, _request: object, context: Context) -> pb.ValidateJWTSVIDResponse:
        return await context.abort(StatusCode.UNIMPLEMENTED)

    async def FetchJWTSVID(self, request: pb.JWTSVIDRequest, context: Context) -> pb.JWTSVIDResponse:
        self.asked.append(request)
        await self.gate.wait()
        answer = self.tokens.pop(0)
        if isinstance(answer, StatusCode):
            await context.abort(answer, "as scripted")
        return answer  # type: ignore[return-value]

    async def _stream(self, method: str, context: Context) -> None:
        self.streams[method] += 1
        self.open[method] += 1
        try:
            async with self._turn:
                while (what := self.says[method]) is not None:
                    if isinstance(what, StatusCode):
                        await context.abort(what, "as scripted")
                    await context.write(what)
                    await self._turn.wait()
        finally:
            self.open[method] -= 1


@pytest.fixture
def agents() -> Iterator[Callable[[], Agent]]:
    """Makes agents that nobody has started yet, each on a path of its own."""
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        paths = (Path(folder) / f"{number}.sock" for number in itertools.count())
        yield lambda: Agent(Endpoint.of_path(next(paths)))


@pytest.fixture
async def agent(agents: Callable[[], Agent]) -> AsyncIterator[Agent]:
    """Running; a test may end it and start it again."""
    agent = agents()
    await agent.start()
    yield agent
    await agent.stop()


@dataclass
class Responses:
    """Makes messages of FetchX509SVID."""

    authority: Authority

    def __call__(
        self, *paths: str, federated: Authority | None = None, lifetime: int = HOUR, now: datetime | None = None
    ) -> pb.X509SVIDResponse:
        """With an SVID, new each time, for each path; `path@hint` has a hint."""
        made = pb.X509SVIDResponse()
        for path, _, hint in (path.partition("@") for path in paths or ("/web",)):
            svid = self.authority.x509_svid(path, lifetime=lifetime, now=now)
            made.svids.add(
                spiffe_id=str(svid.spiffe_id),
                x509_svid=b"".join(svid.chain),
                x509_svid_key=svid.key_pkcs8,
                bundle=self.authority.root.der,
                hint=hint,
            )
        if federated is not None:
            made.federated_bundles[str(federated.trust_domain.id)] = federated.root.der
        return made


@pytest.fixture
def response(authority: Authority) -> Responses:
    return Responses(authority)


@dataclass
class Relay:
    """Stands before an agent and passes on what it sends, in pieces of `piece` bytes, `left` bytes altogether."""

    endpoint: Endpoint
    agent: Path
    piece: int = 65536
    left: int = 2**40
    cut: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_unix_connection(self.agent)
        try:
            async with asyncio.TaskGroup() as group:
                there = group.create_task(self._pass(reader, requests, 2**40))
                await self._pass(answers, writer, self.left)
                there.cancel()
        except* OSError:
            pass
        finally:
            self.cut += 1
            writer.close()
            requests.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int) -> None:
        while left > 0 and (data := await reader.read(min(self.piece, left))):
            left -= len(data)
            writer.write(data)
            await writer.drain()


@pytest.fixture
async def relay(agent: Agent) -> AsyncIterator[Relay]:
    """Before the agent, on a path of its own."""
    path = Path(agent.endpoint.target.removeprefix("unix:"))
    front = path.with_name("relay.sock")
    relay = Relay(Endpoint.of_path(front), path)
    server = await asyncio.start_unix_server(relay.serve, front)
    yield relay
    server.close()


class Elsewhere:
    """An agent on a loop in another thread."""

    def __init__(self, agent: Agent, loop: asyncio.AbstractEventLoop) -> None:
        self.agent = agent
        self._loop = loop

    def do(self, work: Callable[[], Awaitable[object]]) -> None:
        async def run() -> None:
            await work()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def say(self, method: str, what: Message | bytes | StatusCode | None) -> None:
        self.do(lambda: self.agent.say(method, what))


@pytest.fixture
def elsewhere(agents: Callable[[], Agent], authority: Authority) -> Iterator[Elsewhere]:
    """With one identity and its bundles to begin with."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    agent = agents()
    made = Elsewhere(agent, loop)
    name = str(authority.trust_domain.id)
    agent.says["x509"] = Responses(authority)()
    agent.says["x509 bundles"] = pb.X509BundlesResponse(bundles={name: authority.root.der})
    agent.says["jwt bundles"] = pb.JWTBundlesResponse(bundles={name: jwks.emit_jwt(authority.bundle)})
    made.do(agent.start)
    yield made
    made.do(agent.stop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("example.org")


@pytest.fixture
def api() -> Scripted:
    return Scripted()


@pytest.fixture
async def client(api: Scripted) -> AsyncIterator[WorkloadApiClient]:
    """A client of that API, over a path that has to be quoted."""
    with tempfile.TemporaryDirectory(prefix="assay ") as folder:
        endpoint = Endpoint.of_path(Path(folder) / "api.sock")
        server = aio.server()
        register(server, api)
        server.add_insecure_port(endpoint.target)
        await server.start()
        async with WorkloadApiClient(endpoint) as client:
            yield client
        await server.stop(None)
