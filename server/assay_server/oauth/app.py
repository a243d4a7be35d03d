"""The endpoint's routes, as an ASGI application."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from assay.asgi.middleware import tls_chain
from assay.clock import Clock
from assay.errors import AssayError
from assay.svid.refusal import RefusedError
from assay.svid.replay import Seen
from assay.telemetry import tracing
from assay_server.governance.request import Binding, Confirmation
from assay_server.oauth.client import ATTESTATION, ATTESTATION_POP, Client, ClientAuthentication, Presented
from assay_server.oauth.endpoint import TokenEndpoint, refused
from assay_server.oauth.errors import OAuthError, invalid_client, invalid_request
from assay_server.oauth.events import StatusEvents
from assay_server.oauth.form import Form, form_of, needed
from assay_server.oauth.grant import grant_of
from assay_server.oauth.metadata import INTROSPECT, JWKS, OPENID, REVOKE, SERVER, STATUS, TOKEN, metadata
from assay_server.oauth.proof import dpop_thumbprint
from assay_server.oauth.status import StatusPages

# RFC 6749 section 5.1, RFC 7662 section 2.2.
_SECRET = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_PUBLIC = {"Cache-Control": "public, max-age=60"}

Published = Callable[[], Awaitable[Sequence[Mapping[str, str]]]]
"""Public keys (JWK) beside those of tokens, such as the ledger's."""


async def nothing_else() -> Sequence[Mapping[str, str]]:
    """No other keys."""
    return ()


class Pages:
    """The handlers: they read requests, find out who asks, and leave the answering to the endpoint."""

    def __init__(
        self,
        issuer: str,
        endpoint: TokenEndpoint,
        clients: ClientAuthentication,
        clock: Clock,
        seen: Seen,
        published: Published,
    ) -> None:
        self._issuer = issuer
        self._endpoint = endpoint
        self._clients = clients
        self._clock = clock
        self._seen = seen
        self._published = published

    async def token(self, request: Request) -> Response:
        """RFC 6749 section 3.2."""
        form, client = await self._asked(request)
        answer = await self._endpoint.token(client, grant_of(form), self._dpop(request, TOKEN))
        return JSONResponse(answer, headers=_SECRET)

    async def introspect(self, request: Request) -> Response:
        """RFC 7662 section 2."""
        form, _ = await self._asked(request)
        return JSONResponse(dict(await self._endpoint.introspect(needed(form, "token"))), headers=_SECRET)

    async def revoke(self, request: Request) -> Response:
        """RFC 7009 section 2."""
        form, client = await self._asked(request)
        await self._endpoint.revoke(client, needed(form, "token"))
        return Response(headers=_SECRET)

    async def jwks(self, _: Request) -> Response:
        """RFC 7517 section 5."""
        keys = [*self._endpoint.jwks()["keys"], *await self._published()]
        return JSONResponse({"keys": keys}, headers=_PUBLIC)

    async def described(self, _: Request) -> Response:
        """RFC 8414 section 3."""
        return JSONResponse(metadata(self._issuer), headers=_PUBLIC)

    async def _asked(self, request: Request) -> tuple[Form, Client]:
        form = await form_of(request)
        return form, self._clients.client(form, _presented(request))

    def _dpop(self, request: Request, path: str) -> Confirmation | None:
        proofs = request.headers.getlist("dpop")
        if not proofs:
            return None
        if len(proofs) > 1:
            raise OAuthError("invalid_dpop_proof", "one DPoP proof is taken")
        now = self._clock.now().timestamp()
        # By our own name: what the request says of its host is whatever the caller likes.
        url = self._issuer + path
        return Confirmation(Binding.DPOP, dpop_thumbprint(proofs[0], request.method, url, now, self._seen))


def application(pages: Pages, status: StatusPages, events: StatusEvents, issuer_path: str) -> Router:
    """The routes; `issuer_path` is the path of the issuer's URL, empty for most.

    Without Starlette's middleware, which would answer for what fails: uvicorn does, and logs it.
    """
    posts = ((TOKEN, pages.token), (INTROSPECT, pages.introspect), (REVOKE, pages.revoke))
    well_known = (f"{SERVER}{issuer_path}", f"{issuer_path}{OPENID}")
    routes = [
        *(Route(f"{issuer_path}{path}", partial(_traced, path, handler), methods=["POST"]) for path, handler in posts),
        Route(f"{issuer_path}{JWKS}", pages.jwks),
        *(Route(path, pages.described) for path in well_known),
        Route(f"{issuer_path}{STATUS}", partial(_answered, status.all)),
        Route(f"{issuer_path}{STATUS}/{{number:int}}", partial(_answered, status.one)),
        Route(f"{issuer_path}{STATUS}/events", partial(_answered, events.events)),
        Route(f"{issuer_path}{STATUS}/held", partial(_answered, events.held), methods=["POST"]),
        Route(f"{issuer_path}{STATUS}/reports", partial(_answered, events.reports), methods=["POST"]),
    ]
    return Router(routes=routes)


async def _traced(path: str, handler: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    with tracing.serving(f"POST {path}", {"http.request.method": "POST", "http.route": path}) as span:
        response = await _answered(handler, request)
        span.put("http.response.status_code", response.status_code)
        return response


async def _answered(handler: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await handler(request)
    except OAuthError as error:
        refusal = error
    except AssayError as error:
        refusal = refused(error, detailed=False)
    return JSONResponse(refusal.body(), refusal.status.value, _SECRET)


def _presented(request: Request) -> Presented:
    try:
        chain = tls_chain(request.scope)
    except RefusedError as error:
        raise invalid_client("the client certificate is malformed") from error
    attestations, proofs = (tuple(request.headers.getlist(name)) for name in (ATTESTATION, ATTESTATION_POP))
    if request.headers.get("authorization"):
        raise invalid_request("clients are known by their SVIDs, not by the Authorization header")
    return Presented(chain, attestations, proofs)
