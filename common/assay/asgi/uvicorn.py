"""uvicorn over TLS by SPIFFE ID, its peers' certificates in ASGI's TLS extension. Needs uvicorn 0.54 or later."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, TypeAlias

import uvicorn

from assay.tls import SpiffeContext, peer_chain

_App: TypeAlias = Callable[..., Awaitable[None]]


def config(app: _App, context: SpiffeContext, **options: Any) -> uvicorn.Config:  # noqa: ANN401 - uvicorn's options
    """A configuration for `uvicorn.Server`: serves `app` with `context`, which `assay.tls.server_context` made.

    `options` are uvicorn's own, such as `host` and `port`.
    """
    made = uvicorn.Config(app, ssl_context_factory=lambda _config, _default: context, **options)
    made.load()
    made.http_protocol_class = telling(made.http_protocol_class)
    if made.ws_protocol_class is not None:
        made.ws_protocol_class = telling(made.ws_protocol_class)
    return made


def telling(protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """That protocol of uvicorn's, which then tells the application of the TLS peer."""

    def connection_made(self: Any, transport: asyncio.Transport) -> None:  # noqa: ANN401 - uvicorn's protocols
        protocol.connection_made(self, transport)
        self.app = partial(_with_tls, self.app, _tls(transport))

    return type(f"Telling{protocol.__name__}", (protocol,), {"connection_made": connection_made})


def _tls(transport: asyncio.Transport) -> dict[str, object]:
    chain = [ssl.DER_cert_to_PEM_cert(one) for one in peer_chain(transport)]
    return {"server_cert": None, "client_cert_chain": chain, "client_cert_name": None, "client_cert_error": None}


async def _with_tls(
    app: _App, tls: dict[str, object], scope: MutableMapping[str, Any], receive: object, send: object
) -> None:
    extensions: dict[str, object] = {**(scope.get("extensions") or {}), "tls": tls}
    await app({**scope, "extensions": extensions}, receive, send)
