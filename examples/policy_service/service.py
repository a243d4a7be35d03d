"""Who may do what, by SPIFFE ID: python service.py SERVICE_ID PORT."""

import asyncio
import logging
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from assay.asgi import SpiffeMiddleware
from assay.asgi.uvicorn import config
from assay.authorize import Authorizer, NotAuthorizedError, member_of, one_of, path_prefix
from assay.spiffeid import TrustDomain
from assay.tls import server_context
from assay.verify import JwtVerifier, X509Verifier
from assay.workloadapi import JwtBundleSource, X509Source


def rules(domain: TrustDomain) -> dict[str, Authorizer]:
    return {
        "/orders": one_of(f"{domain.id}/web"),
        "/reports": path_prefix(domain, "/analytics"),
        "/hello": member_of(domain),
    }


def policy(domain: TrustDomain) -> Starlette:
    """Answers requests whose caller is known already, by who may have their path."""
    may = rules(domain)

    async def answer(request: Request) -> JSONResponse:
        caller = request.state.spiffe
        try:
            may[request.url.path].check(caller.spiffe_id)
        except NotAuthorizedError as refusal:
            return JSONResponse({"error": "forbidden", "reason": refusal.reason.value}, 403)
        return JSONResponse({"caller": str(caller.spiffe_id), "by": "X.509" if caller.token is None else "JWT"})

    return Starlette(routes=[Route(path, answer) for path in may])


async def serve(own: str, port: int) -> None:
    async with X509Source(spiffe_id=own) as x509, JwtBundleSource() as keys:
        domain = x509.svid().spiffe_id.trust_domain
        members = member_of(domain)
        app = SpiffeMiddleware(policy(domain), jwt=JwtVerifier(keys, own, members), x509=X509Verifier(x509, members))
        # Callers may come without a certificate, if they bring a token.
        context = server_context(x509, members, required=False)
        await uvicorn.Server(config(app, context, host="127.0.0.1", port=port)).serve()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)  # who is refused, and why
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
