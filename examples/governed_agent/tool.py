"""The CRM's tool: it takes task tokens, and nothing else. Run by demo.py, twice: python tool.py SOCKET OWN_ID PORT."""

import asyncio
import logging
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from assay.asgi.task import TaskTokenMiddleware, task
from assay.asgi.uvicorn import config
from assay.authorize import member_of
from assay.tasktoken import TaskTokenVerifier
from assay.tasktoken.status import PushedStatus
from assay.tls import server_context
from assay.workloadapi import JwtBundleSource, X509Source

CRM = "https://crm.acme.example/mcp"
ACTIONS = {"POST /tickets/7": "crm.read", "POST /refunds": "crm.refund"}


async def ticket(request: Request) -> JSONResponse:
    return JSONResponse({"ticket": 7, "says": "the parcel is broken", "task": task(request.scope).token.task_id})


async def refund(_: Request) -> JSONResponse:
    return JSONResponse({"refunded": True})


ROUTES = [Route("/tickets/7", ticket, methods=["POST"]), Route("/refunds", refund, methods=["POST"])]


async def serve(socket: str, own: str, port: int) -> None:
    async with X509Source(socket, spiffe_id=own) as x509, JwtBundleSource(socket) as keys:
        domain = x509.svid().spiffe_id.trust_domain
        # These three lines protect it.
        async with PushedStatus(socket) as status:
            verifier = TaskTokenVerifier(keys, str(domain.id), CRM, status)
            app = TaskTokenMiddleware(Starlette(routes=ROUTES), verifier, actions=ACTIONS, reporter=status)
            context = server_context(x509, member_of(domain))
            await uvicorn.Server(config(app, context, host="127.0.0.1", port=port, log_level="warning")).serve()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
