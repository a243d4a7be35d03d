"""A small client of the Workload API: one connection, one attempt for each call."""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message

from assay.errors import UnavailableError
from assay.rpc.status import EndError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire.status import code_of, refusal
from assay.workloadapi import values
from assay.workloadapi.connected import Connected
from assay.workloadapi.errors import MalformedResponseError
from assay.workloadapi.values import HintedJwtSvid, HintedWitSvid, ValidatedJwt, X509Context
from assay.workloadapi.wire import METADATA, SERVICE
from assay_proto.workloadapi import workloadapi_pb2 as pb

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

M = TypeVar("M", bound=Message)
V = TypeVar("V")

Refused: TypeAlias = Callable[[MalformedResponseError], None]
"""Told of each message that was dropped whole."""


class WorkloadApiClient(Connected):
    """Use as an async context manager. `within` is in seconds, None for as long as it takes.

    Where no endpoint is given, `SPIFFE_ENDPOINT_SOCKET` names it. A stream that meets a malformed message ends with
    MalformedResponseError; with `on_malformed` the message is dropped and the stream goes on (section 4.5).

    Raises (from every call):
        AssayError: the agent's refusal, of the kind its gRPC code stands for.
        MalformedResponseError: the response lacks what it must have, or is not what it says.
    """

    def watch_x509(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> AsyncGenerator[X509Context]:
        """X.509-SVIDs and bundles, now and on every change."""
        answers = self._stream("FetchX509SVID", pb.X509SVIDRequest(), within)
        return _follow(answers, pb.X509SVIDResponse, values.x509_context, on_malformed)

    def watch_x509_bundles(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> AsyncGenerator[Mapping[TrustDomain, tuple[bytes, ...]]]:
        """CA certificates (DER) by trust domain, now and on every change."""
        answers = self._stream("FetchX509Bundles", pb.X509BundlesRequest(), within)
        return _follow(
            answers, pb.X509BundlesResponse, lambda response: values.x509_bundles(response.bundles), on_malformed
        )

    def watch_jwt_bundles(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> AsyncGenerator[Mapping[TrustDomain, bytes]]:
        """JWK Set documents by trust domain, now and on every change."""
        answers = self._stream("FetchJWTBundles", pb.JWTBundlesRequest(), within)
        return _follow(
            answers, pb.JWTBundlesResponse, lambda response: values.jwt_bundles(response.bundles), on_malformed
        )

    def watch_wit(
        self, spiffe_id: SpiffeId | None = None, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> AsyncGenerator[tuple[HintedWitSvid, ...]]:
        """WIT-SVIDs with their keys, of one identity or of each the caller has: now and on every change."""
        request = pb.WITSVIDRequest(spiffe_id=str(spiffe_id) if spiffe_id else "")
        answers = self._stream("FetchWITSVID", request, within)
        return _follow(answers, pb.WITSVIDResponse, values.wit_svids, on_malformed)

    def watch_wit_bundles(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> AsyncGenerator[Mapping[TrustDomain, str]]:
        """JWK Set documents of WIT keys by trust domain, now and on every change."""
        answers = self._stream("FetchWITBundles", pb.WITBundlesRequest(), within)
        return _follow(
            answers, pb.WITBundlesResponse, lambda response: values.wit_bundles(response.bundles), on_malformed
        )

    async def fetch_x509(self, *, within: float | None = None) -> X509Context:
        """X.509-SVIDs and bundles as they are now."""
        async with aclosing(self.watch_x509(within=within)) as contexts:
            async for context in contexts:
                return context
        raise UnavailableError("the Workload API ended the stream without a response")

    async def fetch_wit(
        self, spiffe_id: SpiffeId | None = None, *, within: float | None = None
    ) -> tuple[HintedWitSvid, ...]:
        """WIT-SVIDs with their keys as they are now: of one identity, or of each the caller has."""
        async with aclosing(self.watch_wit(spiffe_id, within=within)) as updates:
            async for svids in updates:
                return svids
        raise UnavailableError("the Workload API ended the stream without a response")

    async def fetch_jwt(
        self, audience: str | Sequence[str], spiffe_id: SpiffeId | None = None, *, within: float | None = None
    ) -> tuple[HintedJwtSvid, ...]:
        """JWT-SVIDs for the audience, or for all of several: of one identity, or of each the caller has."""
        audiences = [audience] if isinstance(audience, str) else audience
        request = pb.JWTSVIDRequest(audience=audiences, spiffe_id=str(spiffe_id) if spiffe_id else "")
        answer = await self._unary("FetchJWTSVID", request, within)
        return _parsed(answer, pb.JWTSVIDResponse, values.jwt_svids)

    async def validate_jwt(self, audience: str, token: str, *, within: float | None = None) -> ValidatedJwt:
        """The token's identity and claims, if it is valid for the audience."""
        request = pb.ValidateJWTSVIDRequest(audience=audience, svid=token)
        answer = await self._unary("ValidateJWTSVID", request, within)
        return _parsed(answer, pb.ValidateJWTSVIDResponse, values.validated)

    def _stream(self, method: str, request: Message, within: float | None) -> AsyncGenerator[bytes]:
        return self._channel.stream(f"/{SERVICE}/{method}", request.SerializeToString(), METADATA, timeout=within)

    async def _unary(self, method: str, request: Message, within: float | None) -> bytes:
        with _refusals():
            return await self._channel.unary(
                f"/{SERVICE}/{method}", request.SerializeToString(), METADATA, timeout=within
            )


async def _follow(
    answers: AsyncGenerator[bytes], kind: type[M], parse: Callable[[M], V], on_malformed: Refused | None
) -> AsyncGenerator[V]:
    async with aclosing(answers):
        with _refusals():
            async for answer in answers:
                try:
                    value = _parsed(answer, kind, parse)
                except MalformedResponseError as error:
                    if on_malformed is None:
                        raise
                    on_malformed(error)
                else:
                    yield value


def _parsed(answer: bytes, kind: type[M], parse: Callable[[M], V]) -> V:
    try:
        message = kind.FromString(answer)
    except DecodeError:
        raise MalformedResponseError("malformed Workload API response: not a message of this method") from None
    return parse(message)


@contextmanager
def _refusals() -> Generator[None]:
    try:
        yield
    except EndError as error:
        raise refusal(code_of(error.code), error.message) from error
