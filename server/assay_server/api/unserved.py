"""RPCs that nobody here serves, refused in the words of gRPC's Go library, which SPIRE's clients know."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from assay_server.authorization.table import RPCS

_SERVICES = frozenset(method.rpartition("/")[0] for method in RPCS)


def unserved(method: str) -> "grpc.RpcMethodHandler[Any, Any]":
    """A handler that answers UNIMPLEMENTED, whatever kind of RPC the caller takes it for."""
    words = _words(method)

    async def refuse(_requests: object, context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, words)
        yield b""  # never: it makes this function a stream

    return grpc.stream_stream_rpc_method_handler(refuse)


def _words(method: str) -> str:
    service, slash, name = method.removeprefix("/").rpartition("/")
    if not slash:
        return f'malformed method name: "{method}"'
    if method in RPCS:
        return f"method {name} not implemented"
    if f"/{service}" in _SERVICES:
        return f"unknown method {name} for service {service}"
    return f"unknown service {service}"
