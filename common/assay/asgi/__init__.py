"""SPIFFE IDs on HTTP requests: a middleware for any ASGI application, and uvicorn made to tell it of TLS peers.

    app = SpiffeMiddleware(app, jwt=JwtVerifier(bundles, "orders", member_of("example.org")))

No framework is needed and none is imported. In the application `caller(scope)` is who calls; with Starlette or
FastAPI also `request.state.spiffe`.
"""

from assay.asgi.caller import caller
from assay.asgi.middleware import SpiffeMiddleware
from assay.caller import Caller

__all__ = ["Caller", "SpiffeMiddleware", "caller"]
