"""Stands before every handler: finds out who calls, admits by the table, and turns refusals into status once.

Handlers read `current_caller()` and raise assay.errors; streaming ones are async generators.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from assay.errors import AssayError
from assay.rpc import server
from assay.rpc.method import Codec, Context, Method
from assay.rpc.status import EndError, Metadata, StatusCode, undecodable
from assay.transport.peer import Peer, TlsPeer
from assay.wire.status import DETAILS_KEY, HINTS_KEY, details_of
from assay_server.api.interceptor_streams import OpenStreams
from assay_server.api.unserved import unserved
from assay_server.authorization.authorizer import Approach, Authorizer, caller_fields
from assay_server.authorization.caller import Credential, set_current_caller
from assay_server.authorization.table import RPCS

log = structlog.get_logger(__name__)

# Streams on which callers are heard, too, but which are there for what is pushed.
_PUSHING = frozenset({"/assay.status.v1.AgentStatus/Watch"})

Behavior = Callable[[Any, Any], Any]
PeerOf = Callable[[object], Peer]


class AuthorizationInterceptor:
    """Admission and error mapping for all four kinds of RPC: the server's guard."""

    def __init__(self, authorizer: Authorizer, peer_of: PeerOf = server.peer_of) -> None:
        self._authorizer = authorizer
        self._peer_of = peer_of
        self._streams = OpenStreams()

    def end_streams(self) -> None:
        """Refuse the streams that only push, before the server stops."""
        self._streams.end()

    def __call__(self, path: str, method: Method | None) -> Method:
        """The method behind its guard; one that refuses when there is none."""
        if method is None:
            method = unserved(path)
            if path not in RPCS:
                return method
        behavior = self._stream(method) if method.response_streaming else self._unary(method)
        return replace(method, behavior=behavior, decode=_tolerant(method))

    def _unary(self, method: Method) -> Behavior:
        async def unary(request: object, context: Context) -> object:
            approach: Approach | None = None
            try:
                approach = approach_of(self._peer_of(context), context.invocation_metadata())
                set_current_caller(await self._authorizer.admit(method.path, approach))
                return await method.behavior(_parsed(request), context)
            except Exception as error:
                raise _end_of(method.path, approach, error) from error

        return unary

    def _stream(self, method: Method) -> Behavior:
        async def stream(request: object, context: Context) -> AsyncIterator[object]:
            approach: Approach | None = None
            try:
                approach = approach_of(self._peer_of(context), context.invocation_metadata())
                set_current_caller(await self._authorizer.admit(method.path, approach))
                if method.request_streaming:
                    request = _Judged(request, partial(self._authorizer.admit, method.path, approach))
                async with aclosing(method.behavior(_parsed(request), context)) as responses:
                    pushes = not method.request_streaming or method.path in _PUSHING
                    async for one in self._streams.through(responses) if pushes else responses:
                        yield one
            except Exception as error:
                raise _end_of(method.path, approach, error) from error

        return stream


class _Judged:
    """The requests of a conversation. Each but the first, which came with the call, is for a caller judged anew."""

    def __init__(self, requests: Any, admit: Callable[[], Awaitable[object]]) -> None:  # noqa: ANN401 - the method's
        self._requests = requests
        self._admit = admit
        self._begun = False

    def __aiter__(self) -> "_Judged":
        return self

    async def __anext__(self) -> object:
        request = await anext(self._requests)
        if self._begun:
            await self._admit()
        self._begun = True
        return request


def approach_of(peer: Peer, metadata: Metadata | None = None) -> Approach:
    """What the transport knows of the caller, in the domain's words."""
    if not isinstance(peer, TlsPeer):
        return Approach(local=True, hints=any(key == HINTS_KEY for key, _ in metadata or ()))
    spiffe_id = peer.spiffe_id
    if spiffe_id is None:
        return Approach(local=False, address=peer.address)
    leaf = peer.chain[0]
    credential = Credential(spiffe_id, str(leaf.serial_number), int(leaf.not_valid_after_utc.timestamp()))
    return Approach(local=False, credential=credential, address=peer.address)


def _end_of(method: str, approach: Approach | None, error: Exception) -> EndError:
    """How the call ends that raised this."""
    if isinstance(error, EndError):
        return error
    if isinstance(error, AssayError):
        return _refusal(method, approach, error)
    if isinstance(error, DecodeError):
        return undecodable()
    log.error("Unexpected error", method=method, exc_info=error, **(caller_fields(approach) if approach else {}))
    return EndError(StatusCode.INTERNAL, "internal error")


def _refusal(method: str, approach: Approach | None, error: AssayError) -> EndError:
    code = StatusCode[error.kind.name]
    fields = caller_fields(approach) if approach else {}
    log.warning("Request refused", method=method, status=code.name, error=str(error), **fields)
    # What to do next is for operators who ask: everybody else learns SPIRE's words only.
    message = str(error) if approach is not None and approach.hints else error.message
    details = details_of(error)
    return EndError(code, message, ((DETAILS_KEY, details),) if details else ())


def _tolerant(method: Method) -> Codec | None:
    """The deserializer; one message that it cannot read becomes the error, so that admission comes first."""
    decode = method.decode
    if decode is None or method.request_streaming:
        return decode

    def tolerant(data: bytes) -> object:
        try:
            return decode(data)
        except DecodeError as error:
            return error

    return tolerant


def _parsed(request: object) -> object:
    if isinstance(request, DecodeError):
        raise request
    return request
