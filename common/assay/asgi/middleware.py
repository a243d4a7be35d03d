"""The middleware: no request reaches the application before its caller is known and wanted."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from assay.asgi.caller import KEY, STATE
from assay.asgi.refusal import refuse_http, refuse_websocket
from assay.caller import Caller, known, presented_token
from assay.crypto.certificate import DAMAGE
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId
from assay.svid.refusal import Reason, RefusedError, SvidRefusedError
from assay.verify import JwtVerifier, X509Verifier

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# Of the standard library: the program that imports us decides what becomes of it.
log = logging.getLogger("assay.asgi")

# Client certificates kept as DER: those of that many connections.
_CHAINS = 1024


class SpiffeMiddleware:
    """Lets pass requests with a good JWT-SVID in `Authorization: Bearer` or a good X.509-SVID of the connection.

    With a verifier for tokens, a request that brings one stands or falls with it. Without one, tokens are the
    application's own affair. The same goes for X.509-SVIDs, which are those of the server's TLS extension
    (`assay.asgi.uvicorn` has uvicorn fill it in): with both verifiers, a request that brings both needs both to be
    good, and speaks for the token's subject.

    Refused are: with 401, who is not known; with 403, who is not wanted. The body is JSON with the reason; why in
    words goes to the log `assay.asgi` alone.

    Args:
        app: the application.
        jwt: judges tokens; None if there are none.
        x509: judges the connection's certificates; None if they do not count.
        public: paths, as they are in the request, that everyone may have, such as a health check's.

    Raises:
        InvalidArgumentError: neither verifier is given.
    """

    def __init__(
        self,
        app: App,
        *,
        jwt: JwtVerifier | None = None,
        x509: X509Verifier | None = None,
        public: Collection[str] = (),
    ) -> None:
        if jwt is None and x509 is None:
            raise InvalidArgumentError("no verifier is given", hint="give jwt, x509 or both")
        self._app = app
        self._jwt = jwt
        self._x509 = x509
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the ASGI specification has it."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        if kind == "http" and scope["path"] in self._public:
            await self._app(_telling(scope, None), receive, send)
            return
        try:
            caller = self._caller(scope)
        except RefusedError as refusal:
            log.info("Request refused: %s", refusal, extra={"reason": refusal.reason.value})
            await self._refuse(kind, refusal, send)
            return
        await self._app(_telling(scope, caller), receive, send)

    def _caller(self, scope: Scope) -> Caller:
        token = presented_token(self._jwt, authorization(scope["headers"]))
        return known(token, self._peer(scope))

    async def _refuse(self, kind: str, refusal: RefusedError, send: Send) -> None:
        if kind == "http":
            await refuse_http(refusal, send, challenge=self._jwt is not None)
        else:
            await refuse_websocket(refusal, send)

    def _peer(self, scope: Scope) -> SpiffeId | None:
        chain = tls_chain(scope)
        return self._x509.verify(chain) if self._x509 is not None and chain else None


def _telling(scope: Scope, caller: Caller | None) -> Scope:
    state = {key: value for key, value in scope.get(STATE, {}).items() if key != KEY}
    return {**scope, STATE: state if caller is None else {**state, KEY: caller}}


def authorization(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The values of that header."""
    return [value.decode("latin-1") for name, value in headers if name.lower() == b"authorization"]


def tls_chain(scope: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The connection's client certificates (DER, leaf first) by ASGI's TLS extension; none if there are none.

    Raises:
        SvidRefusedError: one of them does not parse.
    """
    extensions = cast("Mapping[str, Mapping[str, Sequence[str]]]", scope.get("extensions") or {})
    return _as_der(tuple(extensions.get("tls", {}).get("client_cert_chain") or ()))


# A connection brings the same texts with each of its requests.
@lru_cache(maxsize=_CHAINS)
def _as_der(pems: tuple[str, ...]) -> tuple[bytes, ...]:
    try:
        parsed = [x509.load_pem_x509_certificate(pem.encode()) for pem in pems]
    except DAMAGE as error:
        raise SvidRefusedError(Reason.MALFORMED, f"client certificate: {error}") from None
    return tuple(one.public_bytes(Encoding.DER) for one in parsed)
