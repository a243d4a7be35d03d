"""What counts no more as server-sent events, for verifiers that speak HTTP and have an X.509-SVID.

Each event is an update of assay.status.v1 as JSON; its `id` is where to go on (`Last-Event-ID`). What verifiers say on
their stream there, they say here by requests of their own.
"""

import json
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from google.protobuf.json_format import ParseDict, ParseError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from assay.asgi.middleware import tls_chain
from assay.clock import Clock
from assay.spiffeid import SpiffeId
from assay.status.jsonform import update_of
from assay.status.parts import slices
from assay.svid.refusal import RefusedError
from assay.waiting import first_of
from assay_proto.status.v1 import status_pb2 as pb
from assay_server.oauth.client import Client, ClientAuthentication
from assay_server.oauth.errors import OAuthError, invalid_client, invalid_request
from assay_server.status.feed import Listener, StatusFeed
from assay_server.status.reporting import Take

MAX_BODY = 256 * 1024
"""Bytes."""
MOST_STREAMS, MOST_OF_ONE = 400, 20
"""Streams at once, and those of one client."""

_DIGITS = 19
_UNSTORED = {"Cache-Control": "no-store"}
_JSON = json.JSONEncoder(separators=(",", ":"))


@dataclass(eq=False)
class _Stream:
    spiffe_id: SpiffeId
    listener: Listener
    name: str = field(default_factory=lambda: secrets.token_urlsafe(12))


class StatusEvents:
    """The handlers."""

    def __init__(self, feed: StatusFeed, take: Take, clients: ClientAuthentication, clock: Clock) -> None:
        self._feed = feed
        self._take = take
        self._clients = clients
        self._clock = clock
        self._streams: dict[str, _Stream] = {}

    async def events(self, request: Request) -> Response:
        """Updates from where `Last-Event-ID` says on, until the client's SVID ends."""
        client = self._client(request)
        own = sum(one.spiffe_id == client.spiffe_id for one in self._streams.values())
        if len(self._streams) >= MOST_STREAMS or own >= MOST_OF_ONE:
            raise OAuthError("temporarily_unavailable", "too many streams are open", HTTPStatus.TOO_MANY_REQUESTS)
        incarnation, position = _resumed(request)
        told = self._told(client, position, incarnation)
        return StreamingResponse(told, headers=_UNSTORED, media_type="text/event-stream")

    async def held(self, request: Request) -> Response:
        """`{"position": …}`: the client obeys everything until there; with `stream` where it has several."""
        client, said = self._client(request), await _json(request)
        position = said.get("position")
        if not isinstance(position, int) or isinstance(position, bool) or position < 0:
            raise invalid_request("position has to be that of an update")
        own = [one for one in self._streams.values() if one.spiffe_id == client.spiffe_id]
        named = [one for one in own if said.get("stream") in {None, one.name}]
        if len(named) != 1:
            why = "name the stream, as its first event does" if named else "no such stream is open"
            raise OAuthError("invalid_request", why, HTTPStatus.CONFLICT)
        named[0].listener.hold(position, 1, 1)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=_UNSTORED)

    async def reports(self, request: Request) -> Response:
        """`{"reporter", "first", "reports"}`, answered by the number of the last report that is written down."""
        client, said = self._client(request), await _json(request)
        try:
            reports = ParseDict(said, pb.Reports())
        except ParseError:
            raise invalid_request("reports are malformed") from None
        last = await self._take(reports.reporter, client.spiffe_id, reports.first, reports.reports)
        return JSONResponse({"reporter": reports.reporter, "last": last}, headers=_UNSTORED)

    async def _told(self, client: Client, position: int, incarnation: str) -> AsyncGenerator[str]:
        with self._feed.listener() as listener:
            stream = _Stream(client.spiffe_id, listener)
            self._streams[stream.name] = stream
            listener.hold(0, 1, 0)
            try:
                yield _event("stream", {"stream": stream.name})
                while (left := client.ends_at - self._clock.now().timestamp()) > 0:
                    told = self._feed.due(listener, position, incarnation)
                    if told is None:
                        await first_of(listener.wait(), self._clock.sleep(left))
                        continue
                    for part, more in slices(told):
                        # Whoever breaks off in between has to begin where the whole began.
                        where = "" if more else f"{told.incarnation}:{told.position}"
                        yield _event("update", update_of(part, more=more), where)
                    position, incarnation = told.position, told.incarnation
            finally:
                del self._streams[stream.name]

    def _client(self, request: Request) -> Client:
        try:
            return self._clients.by_certificate(tls_chain(request.scope))
        except RefusedError as error:
            raise invalid_client("the client certificate is malformed") from error


def _event(kind: str, data: dict[str, Any], where: str = "") -> str:
    identified = f"id: {where}\n" if where else ""
    return f"{identified}event: {kind}\ndata: {_JSON.encode(data)}\n\n"


def _resumed(request: Request) -> tuple[str, int]:
    """Where a client goes on that says so; what cannot be read is nothing that is held."""
    incarnation, _, position = request.headers.get("last-event-id", "").rpartition(":")
    known = incarnation and position.isascii() and position.isdigit() and len(position) <= _DIGITS
    return (incarnation, int(position)) if known else ("", 0)


async def _json(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise OAuthError("invalid_request", "the request is too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        said: object = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise invalid_request("the request has to be a JSON object")
    return cast("dict[str, Any]", said)
