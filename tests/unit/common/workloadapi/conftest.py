"""A Workload API that says what a test wants it to say."""

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from google.protobuf.message import Message
from grpc import StatusCode, aio

from assay.testing.authority import Authority
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
