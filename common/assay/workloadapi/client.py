"""A small client of the Workload API: one connection, one attempt for each call."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from grpc import aio

from assay.errors import UnavailableError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire.status import refusal
from assay.workloadapi import values
from assay.workloadapi.address import Endpoint
from assay.workloadapi.errors import MalformedResponseError
from assay.workloadapi.values import HintedJwtSvid, ValidatedJwt, X509Context
from assay.workloadapi.wire import METADATA, Stub
from assay_proto.workloadapi import workloadapi_pb2 as pb

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

M = TypeVar("M")
V = TypeVar("V")

Refused: TypeAlias = Callable[[MalformedResponseError], None]
"""Told of each message that was dropped whole."""

_OPTIONS = (
    # A channel of its own: a second client in the process must be a second connection, and a second caller.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # How long to wait between attempts is the caller's affair; gRPC's own pause would refuse calls for up to two
    # minutes after the agent is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class WorkloadApiClient:
    """Use as an async context manager. `within` is in seconds, None for as long as it takes.

    Where no endpoint is given, `SPIFFE_ENDPOINT_SOCKET` names it. A stream that meets a malformed message ends with
    MalformedResponseError; with `on_malformed` the message is dropped and the stream goes on (section 4.5).

    Raises (from every call):
        AssayError: the agent's refusal, of the kind its gRPC code stands for.
        MalformedResponseError: the response lacks what it must have, or is not what it says.
    """

    def __init__(self, endpoint: Endpoint | Path | str | None = None) -> None:
        self._channel = aio.insecure_channel(Endpoint.of(endpoint, os.environ).target, options=_OPTIONS)
        self._stub = Stub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every call and the connection."""
        await self._channel.close()

    def watch_x509(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> AsyncGenerator[X509Context]:
        """X.509-SVIDs and bundles, now and on every change."""
        call = self._stub.fetch_x509_svid(pb.X509SVIDRequest(), metadata=METADATA, timeout=within)
        return _follow(call, values.x509_context, on_malformed)

    def watch_x509_bundles(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> AsyncGenerator[Mapping[TrustDomain, tuple[bytes, ...]]]:
        """CA certificates (DER) by trust domain, now and on every change."""
        call = self._stub.fetch_x509_bundles(pb.X509BundlesRequest(), metadata=METADATA, timeout=within)
        return _follow(call, lambda response: values.x509_bundles(response.bundles), on_malformed)

    def watch_jwt_bundles(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> AsyncGenerator[Mapping[TrustDomain, bytes]]:
        """JWK Set documents by trust domain, now and on every change."""
        call = self._stub.fetch_jwt_bundles(pb.JWTBundlesRequest(), metadata=METADATA, timeout=within)
        return _follow(call, lambda response: values.jwt_bundles(response.bundles), on_malformed)

    async def fetch_x509(self, *, within: float | None = None) -> X509Context:
        """X.509-SVIDs and bundles as they are now."""
        async with aclosing(self.watch_x509(within=within)) as contexts:
            async for context in contexts:
                return context
        raise UnavailableError("the Workload API ended the stream without a response")

    async def fetch_jwt(
        self, audience: Sequence[str], spiffe_id: SpiffeId | None = None, *, within: float | None = None
    ) -> tuple[HintedJwtSvid, ...]:
        """JWT-SVIDs for the audience: of one identity, or of each the caller has."""
        request = pb.JWTSVIDRequest(audience=audience, spiffe_id=str(spiffe_id) if spiffe_id else "")
        with _refusals():
            response = await self._stub.fetch_jwt_svid(request, metadata=METADATA, timeout=within)
        return _parsed(response, values.jwt_svids)

    async def validate_jwt(self, audience: str, token: str, *, within: float | None = None) -> ValidatedJwt:
        """The token's identity and claims, if it is valid for the audience."""
        request = pb.ValidateJWTSVIDRequest(audience=audience, svid=token)
        with _refusals():
            response = await self._stub.validate_jwt_svid(request, metadata=METADATA, timeout=within)
        return _parsed(response, values.validated)


async def _follow(
    call: aio.UnaryStreamCall[Any, M], parse: Callable[[M], V], on_malformed: Refused | None
) -> AsyncGenerator[V]:
    try:
        with _refusals():
            responses: AsyncIterator[M] = aiter(call)
            async for response in responses:
                try:
                    value = _parsed(response, parse)
                except MalformedResponseError as error:
                    if on_malformed is None:
                        raise
                    on_malformed(error)
                else:
                    yield value
    finally:
        call.cancel()


def _parsed(response: M | None, parse: Callable[[M], V]) -> V:
    if response is None:
        raise MalformedResponseError("malformed Workload API response: not a message of this method")
    return parse(response)


@contextmanager
def _refusals() -> Generator[None]:
    try:
        yield
    except aio.AioRpcError as error:
        raise refusal(error.code(), error.details() or "") from error
