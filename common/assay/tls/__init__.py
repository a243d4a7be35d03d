"""TLS by SPIFFE ID, for whatever takes an `ssl.SSLContext`: asyncio and uvloop, blocking sockets, uvicorn, httpx.

    async with X509Source() as source:
        server = server_context(source, one_of("spiffe://example.org/client"))
        client = client_context(source, one_of("spiffe://example.org/server"))

The peer's chain is verified against its own trust domain's bundle, and its SPIFFE ID authorized, inside the handshake:
no byte of an unwanted peer is read. Each connection uses the SVID and the bundles of the moment it begins, and no TLS
session is ever resumed. Who was refused, and why, goes to the log `assay.tls` as well.
"""

from assay.tls.connection import peer_chain, peer_id
from assay.tls.context import SpiffeContext, X509Identity, client_context, server_context
from assay.tls.peer import NoIdentityToPresentError, PeerRefusedError, refusal_of

__all__ = [
    "NoIdentityToPresentError",
    "PeerRefusedError",
    "SpiffeContext",
    "X509Identity",
    "client_context",
    "peer_chain",
    "peer_id",
    "refusal_of",
    "server_context",
]
