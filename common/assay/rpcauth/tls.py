"""A grpc.aio server behind mTLS by SPIFFE ID."""

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import grpc.aio

from assay.authorize import Authorizer
from assay.clock import Clock
from assay.spiffeid import SpiffeId
from assay.tls import X509Identity, server_context
from assay.transport.front import Front
from assay.transport.tls import ALPN
from assay.verify import X509Verifier

GRACE = 10.0
"""Seconds that calls have to end in when the server stops."""


class KnowsPeers(Protocol):
    """An interceptor that asks who is at the other end: this package's own are."""

    def use(self, front: Front) -> None:
        """Know peers by that front."""
        ...


@asynccontextmanager
async def serve_tls(
    server: grpc.aio.Server,
    source: X509Identity,
    authorize: Authorizer,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    interceptor: KnowsPeers | None = None,
    grace: float = GRACE,
    clock: Clock | None = None,
) -> AsyncGenerator[int]:
    """Start the server, on TLS alone, and stop it in the end; gives the port.

    Clients have to present an X.509-SVID that `authorize` admits. Each connection uses the SVID and the bundles that
    `source` has when it begins, so what is rotated or revoked counts from the next connection on.

    Args:
        server: without any port of its own, and not started.
        source: such as an open `assay.workloadapi.X509Source`.
        authorize: who may connect.
        host: where to listen: "" for all addresses.
        port: 0 for any that is free.
        interceptor: the server's own; it learns who the peers are.
        grace: seconds that calls have to end in when the server stops.
        clock: what time it is; the machine's if None.
    """
    front = Front(server)
    if interceptor is not None:
        interceptor.use(front)
    await front.start()
    try:
        yield await front.listen_tls(host, port, _Welcome(source, authorize, clock))
    finally:
        await front.close(grace)


class _Welcome:
    def __init__(self, source: X509Identity, authorize: Authorizer, clock: Clock | None) -> None:
        self._context = server_context(source, authorize, clock=clock)
        self._context.set_alpn_protocols([ALPN])
        self._verifier = X509Verifier(source, authorize, clock)

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    def verify(self, chain: Sequence[bytes]) -> SpiffeId:
        return self._verifier.verify(chain)
