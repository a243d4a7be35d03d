"""Interceptors for channels of grpc.aio that send a JWT-SVID with each call."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import grpc.aio

from assay.caller import SCHEME
from assay.rpcauth.rules import AUTHORIZATION
from assay.svid import JwtSvid

Continuation = Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]]


class TokenSource(Protocol):
    """Where tokens come from, such as an open `assay.workloadapi.JwtSource`."""

    async def fetch(self, audience: str | Sequence[str], /) -> JwtSvid:
        """A token for that audience."""
        ...


def client_interceptors(source: TokenSource, audience: str) -> list[grpc.aio.ClientInterceptor]:
    """For `interceptors` of a grpc.aio channel: each call brings a token for `audience` (JWT-SVID section 5.3).

    The source is asked at each call, and has the token at hand while it is fresh. What it raises ends the call. Tokens
    are secrets: the channel has to be one over TLS, such as `assay.rpcauth.dial`'s, or to this machine.
    """
    bearer = _Bearer(source, audience)
    # A class for each: of one that is all four, grpc.aio would take the first alone.
    return [_UnaryUnary(bearer), _UnaryStream(bearer), _StreamUnary(bearer), _StreamStream(bearer)]


class _Bearer:
    def __init__(self, source: TokenSource, audience: str) -> None:
        self._source = source
        self._audience = audience

    async def add(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        token = (await self._source.fetch(self._audience)).token
        kept = [(key, value) for key, value in details.metadata or () if key.lower() != AUTHORIZATION]
        metadata = grpc.aio.Metadata(*kept, (AUTHORIZATION, f"{SCHEME} {token}"))
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


class _Adding:
    def __init__(self, bearer: _Bearer) -> None:
        self._bearer = bearer

    async def _call(self, continuation: Continuation, details: grpc.aio.ClientCallDetails, request: Any) -> Any:  # noqa: ANN401 - grpc's
        return await continuation(await self._bearer.add(details), request)


class _UnaryUnary(_Adding, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401 - grpc's
        return await self._call(continuation, client_call_details, request)


class _UnaryStream(_Adding, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401 - grpc's
        return await self._call(continuation, client_call_details, request)


class _StreamUnary(_Adding, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self,
        continuation: Any,  # noqa: ANN401 - grpc's
        client_call_details: Any,  # noqa: ANN401 - grpc's
        request_iterator: Any,  # noqa: ANN401 - grpc's
    ) -> Any:  # noqa: ANN401 - grpc's
        return await self._call(continuation, client_call_details, request_iterator)


class _StreamStream(_Adding, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self,
        continuation: Any,  # noqa: ANN401 - grpc's
        client_call_details: Any,  # noqa: ANN401 - grpc's
        request_iterator: Any,  # noqa: ANN401 - grpc's
    ) -> Any:  # noqa: ANN401 - grpc's
        return await self._call(continuation, client_call_details, request_iterator)
