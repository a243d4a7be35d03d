"""SPIFFE IDs on gRPC calls: who makes a call is known and wanted, or no handler is reached.

    interceptor = ServerInterceptor(jwt=JwtVerifier(bundles, "orders", member_of("example.org")))
    server = grpc.aio.server(interceptors=[interceptor])

In a handler `current_caller()` is who calls. Clients send a token with each call by `client_interceptors`. `serve_tls`
and `dial` are mTLS by SPIFFE ID. `assay.rpcauth.blocking` has interceptors for servers and channels without asyncio.
"""

from assay.caller import Caller
from assay.rpcauth.client import client_interceptors
from assay.rpcauth.current import current_caller
from assay.rpcauth.dial import dial
from assay.rpcauth.refusal import REASON
from assay.rpcauth.server import ServerInterceptor
from assay.rpcauth.tls import serve_tls

__all__ = [
    "REASON",
    "Caller",
    "ServerInterceptor",
    "client_interceptors",
    "current_caller",
    "dial",
    "serve_tls",
]
