"""The endpoint on its TCP port: uvicorn over TLS, where clients may show an X.509-SVID."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import structlog
import uvicorn

from assay.asgi.uvicorn import config
from assay.authorize import any_id
from assay.clock import Clock
from assay.errors import FailedPreconditionError
from assay.spiffeid import TrustDomain
from assay.svid.replay import Seen
from assay.tls import server_context
from assay_server.config.tokenendpoint import TokenEndpointSettings
from assay_server.credential import Issuer
from assay_server.datastore.base import Store
from assay_server.governance.calling import CallService
from assay_server.governance.credentials import CredentialService
from assay_server.oauth.app import Pages, Published, application, nothing_else
from assay_server.oauth.bundles import OwnAuthorities
from assay_server.oauth.client import ClientAuthentication
from assay_server.oauth.endpoint import TokenEndpoint
from assay_server.oauth.evaluation import Evaluation
from assay_server.oauth.events import StatusEvents
from assay_server.oauth.identity import EndpointIdentity
from assay_server.oauth.status import StatusPages, StatusParts

log = structlog.get_logger(__name__)

_CONNECTIONS = 1000
_IDLE_SECONDS = 30
_GRACE_SECONDS = 2


class _Server(uvicorn.Server):
    """uvicorn's, without its signal handlers: signals are the supervisor's."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve_tokens(
    settings: TokenEndpointSettings,
    credentials: CredentialService,
    status: StatusParts,
    store: Store,
    issuer: Issuer,
    trust_domain: TrustDomain,
    clock: Clock,
    calls: CallService,
    published: Published = nothing_else,
) -> None:
    """Answer until cancelled; `published` are public keys beside those of tokens.

    Raises:
        FailedPreconditionError: the port cannot be had.
    """
    authorities, seen = OwnAuthorities(store, trust_domain), Seen()
    await authorities.read()
    url = urlsplit(settings.issuer)
    identity = EndpointIdentity(issuer, trust_domain, url.hostname or "", authorities, clock)
    endpoint = TokenEndpoint(settings.issuer, credentials, authorities, clock)
    clients = ClientAuthentication(settings.issuer, authorities, any_id(), clock, seen)
    pages = Pages(settings.issuer, endpoint, clients, clock, seen, published)
    events = StatusEvents(status.feed, status.take, clients, clock)
    app = application(pages, StatusPages(status.lists, clock), events, url.path)
    app.routes.extend(Evaluation(settings.issuer, calls, clients).routes(url.path))
    server = _Server(
        config(
            app,
            server_context(identity, any_id(), required=False, clock=clock),
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    with _bound(settings) as listener:
        log.info("Starting token endpoint", address=f"{settings.address}:{settings.port}", issuer=settings.issuer)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(authorities.run())
            await _serving(server, listener)


def _bound(settings: TokenEndpointSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    try:
        return socket.create_server((settings.address, settings.port), family=family, backlog=_CONNECTIONS)
    except OSError as error:
        raise FailedPreconditionError(
            f"cannot listen on {settings.address}:{settings.port}: {error.strerror or error}",
            hint="stop what listens there, or set bind_address and bind_port of token_endpoint",
        ) from None


async def _serving(server: _Server, listener: socket.socket) -> None:
    try:
        await server.serve([listener])
    except asyncio.CancelledError:
        server.should_exit = True
        await server.shutdown([listener])
        raise
