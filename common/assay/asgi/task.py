"""Task tokens on HTTP requests: a middleware for any ASGI application.

    app = TaskTokenMiddleware(app, verifier, url="https://crm.example", actions={"GET /tickets": "crm.read"})

In the application `task(scope)` is the call and its token; with Starlette or FastAPI also `request.state.task`.
"""

import json
import logging
import ssl
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, cast

from assay.asgi.caller import STATE
from assay.asgi.middleware import App, Message, Receive, Scope, Send, authorization
from assay.asgi.refusal import Headers, refuse_websocket
from assay.clock import Clock, SystemClock
from assay.errors import AssayError, Kind, UnauthenticatedError
from assay.svid import dpop
from assay.svid.jws import ALGORITHMS
from assay.svid.refusal import Reason, RefusedError, SvidRefusedError
from assay.tasktoken import Certificate, DpopProof, Presented, TaskTokenVerifier
from assay.tasktoken.actions import Actions, Routes
from assay.tasktoken.call import Learning, Reporter, TaskCall, refused_call, trace_id_of
from assay.tasktoken.refusal import NotAllowedError
from assay.tasktoken.report import Outcome

__all__ = ["TaskTokenMiddleware", "task"]

KEY = "task"
BEARER = "Bearer"
RETRY_AFTER = 2
"""Seconds after which whoever was refused for want of status may come again."""

_PROOF_REASONS = frozenset({Reason.NO_PROOF, Reason.BAD_PROOF})

# Of the standard library: the program that imports us decides what becomes of it.
log = logging.getLogger("assay.asgi")


def task(scope: Mapping[str, Any]) -> TaskCall:
    """The call of this ASGI scope, and the token it is made with.

    Raises:
        UnauthenticatedError: the request did not come through the middleware, or its path is open to everyone.
    """
    found = scope.get(STATE, {}).get(KEY)
    if not isinstance(found, TaskCall):
        raise UnauthenticatedError("no task is known of this request", hint="is TaskTokenMiddleware around the app?")
    return found


class TaskTokenMiddleware:
    """Lets pass requests with a task token that is their caller's, still counts, and allows what they are.

    A token comes as `Authorization: DPoP` with a proof in `DPoP` (RFC 9449), or as `Authorization: Bearer` on a
    connection with the client certificate that it is bound to (RFC 8705), by ASGI's TLS extension.

    Refused are: with 401, tokens that are none, not the caller's, or ended; with 403, actions that they do not allow,
    and requests that are no action; with 503, all whose status cannot be learnt. Why in words goes to the log
    `assay.asgi` alone.

    Args:
        app: the application.
        verifier: judges tokens.
        url: this service's own address, scheme and host and whatever is before the paths that the application sees:
            what proofs are for. Without it DPoP is not taken.
        actions: the action of each route. None: the application asks `verifier.allow`, and status is judged as for
            the gravest action.
        understands: the constraints that the application keeps.
        reporter: has the use of tokens written down, such as a `PushedStatus`; None: nobody.
        learning: asked before a token is judged, for sources of status that do not hold everything.
        public: paths, as they are in the request, that everyone may have.
        clock: what time it is; the machine's if None.

    Raises:
        InvalidArgumentError: a route is no path.
    """

    def __init__(
        self,
        app: App,
        verifier: TaskTokenVerifier,
        *,
        url: str = "",
        actions: Actions | None = None,
        understands: Collection[str] = (),
        reporter: Reporter | None = None,
        learning: Learning | None = None,
        public: Collection[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._url = url.rstrip("/")
        self._routes = None if actions is None else Routes(actions)
        self._understands = frozenset(understands)
        self._reporter = reporter
        self._learning = learning
        self._public = frozenset(public)
        self._clock = clock or SystemClock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the ASGI specification has it."""
        kind = scope["type"]
        if kind == "lifespan" or (kind == "http" and scope["path"] in self._public):
            await self._app(scope if kind == "lifespan" else _telling(scope, None), receive, send)
            return
        try:
            call = await self._call(scope)
        except AssayError as error:
            log.info("Request refused: %s", error, extra={"reason": _reason(error)})
            if kind == "http":
                await _refuse(error, send, dpop_taken=bool(self._url))
            else:
                await refuse_websocket(_as_refusal(error), send)
            return
        await self._reported(call, _telling(scope, call), receive, send)

    async def _call(self, scope: Scope) -> TaskCall:
        text, presented = self._presented(scope)
        found = self._verifier.examine(text)
        trace_id = trace_id_of(next(iter(_values(scope, b"traceparent")), ""))
        if self._learning is not None:
            await self._learning.learn(found)
        action = self._action(scope)
        try:
            if action is None:
                raise NotAllowedError(Reason.ACTION_NOT_ALLOWED, "request is no action that is known here", found)
            token = self._verifier.admit(found, text, presented, action, understands=self._understands)
        except RefusedError as refusal:
            refused_call(found, action or "", refusal, self._reporter, self._clock, trace_id)
            raise
        return TaskCall(token, self._reporter, self._clock, trace_id)

    def _action(self, scope: Scope) -> str | None:
        """Empty: the application knows; None: there is none."""
        if self._routes is None:
            return ""
        return self._routes.action(scope.get("method", "GET"), scope["path"])

    def _presented(self, scope: Scope) -> tuple[str, Presented]:
        values = authorization(scope["headers"])
        if not values:
            raise SvidRefusedError(Reason.NO_CREDENTIAL, "the request has no task token")
        scheme, _, text = values[0].partition(" ")
        if len(values) > 1 or not text.isascii():
            raise SvidRefusedError(Reason.MALFORMED, "the authorization is not one task token")
        match scheme.lower():
            case "bearer":
                return text.strip(" "), _certificate(scope)
            case "dpop" if self._url:
                return text.strip(" "), self._proof(scope)
            case _:
                raise SvidRefusedError(Reason.MALFORMED, "the authorization is of another scheme")

    def _proof(self, scope: Scope) -> DpopProof:
        proofs = _values(scope, b"dpop")
        if len(proofs) != 1:
            raise SvidRefusedError(Reason.NO_PROOF, "one DPoP proof is needed")
        raw = scope.get("raw_path") or scope["path"].encode()
        # Some servers have the query in it, against the specification.
        path = raw.decode("latin-1").partition("?")[0]
        return DpopProof(proofs[0], scope.get("method", "GET"), self._url + path)

    async def _reported(self, call: TaskCall, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watching)
        except BaseException as error:
            call.tool_use(Outcome.FAILED, reason=type(error).__name__)
            raise
        failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        refused = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        outcome = Outcome.FAILED if failed else Outcome.REFUSED if refused else Outcome.ALLOWED
        call.tool_use(outcome, reason=f"status {status}" if failed or refused else "")


def _certificate(scope: Scope) -> Certificate | None:
    extensions = cast("Mapping[str, Mapping[str, Any]]", scope.get("extensions") or {})
    pems = extensions.get("tls", {}).get("client_cert_chain") or ()
    if not pems:
        return None
    try:
        return Certificate(ssl.PEM_cert_to_DER_cert(pems[0]))
    except ValueError:
        raise SvidRefusedError(Reason.MALFORMED, "client certificate is not PEM") from None


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _telling(scope: Scope, call: TaskCall | None) -> Scope:
    state = {key: value for key, value in scope.get(STATE, {}).items() if key != KEY}
    return {**scope, STATE: state if call is None else {**state, KEY: call}}


def _reason(error: AssayError) -> str:
    return error.reason.value if isinstance(error, RefusedError) else error.kind.value


def _as_refusal(error: AssayError) -> RefusedError:
    return error if isinstance(error, RefusedError) else RefusedError(Reason.STATUS_UNKNOWN, error.message)


async def _refuse(error: AssayError, send: Send, *, dpop_taken: bool) -> None:
    status, headers, body = _answer(error, dpop_taken=dpop_taken)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(error: AssayError, *, dpop_taken: bool) -> tuple[int, Headers, bytes]:
    """Status, headers and body: RFC 6750 section 3, RFC 9449 section 7.1."""
    match error.kind:
        case Kind.UNAUTHENTICATED:
            status, code = HTTPStatus.UNAUTHORIZED, _code(error)
        case Kind.PERMISSION_DENIED:
            status, code = HTTPStatus.FORBIDDEN, "insufficient_scope"
        case _:
            status, code = HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable"
    body = json.dumps({"error": code or "unauthorized", "reason": _reason(error)}).encode()
    headers: Headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", str(RETRY_AFTER).encode()))
    else:
        headers += [(b"www-authenticate", one) for one in _challenges(code, dpop_taken=dpop_taken)]
    return status.value, headers, body


def _code(error: AssayError) -> str:
    reason = error.reason if isinstance(error, RefusedError) else None
    # RFC 6750, section 3.1: no error code for a request that brought nothing.
    if reason is Reason.NO_CREDENTIAL:
        return ""
    return "invalid_dpop_proof" if reason in _PROOF_REASONS else "invalid_token"


def _challenges(code: str, *, dpop_taken: bool) -> list[bytes]:
    error = f'error="{code}"' if code else ""
    found = [BEARER if not error else f"{BEARER} {error}"] if code != "invalid_dpop_proof" else []
    if dpop_taken:
        algorithms = f'algs="{" ".join(sorted(ALGORITHMS))}"'
        found.append(f"{dpop.SCHEME} {error}, {algorithms}" if error else f"{dpop.SCHEME} {algorithms}")
    return [one.encode() for one in found]
