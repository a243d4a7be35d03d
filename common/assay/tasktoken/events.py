"""Status as the token endpoint pushes it, for verifiers without an agent: server-sent events over mutual TLS.

    async with httpx.AsyncClient(verify=client_context(source, one_of(server_id))) as client:
        async with StatusEvents(client, issuer="https://assay.corp.example") as status: ...

Users of httpx import this. It says what the local agent says (`assay.tasktoken.status`), as fast.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, cast

import httpx
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from assay.backoff import Backoff
from assay.clock import Clock
from assay.errors import AssayError, PermissionDeniedError, UnauthenticatedError, UnavailableError
from assay.tasktoken.following import RETRY, WITHIN, StatusFollower, log
from assay.tasktoken.report import DELAY, ReportBuffer
from assay.tasktoken.wire import reports_message
from assay.workloadapi.errors import MalformedResponseError
from assay_proto.status.v1 import status_pb2 as pb

TIMEOUT = httpx.Timeout(10, read=30)
"""Seconds; `read` is the longest silence, and the endpoint is never silent for that long."""

_MAX_LINE = 8 * 1024 * 1024


class StatusEvents(StatusFollower):
    """Follows what the token endpoint tells.

    Args:
        client: shows this service's X.509-SVID and knows the server's (`assay.tls.client_context`).
        issuer: the URL of the server's token endpoint.
        within: seconds to wait for the first snapshot, None for as long as it takes.
        reports: where reports are kept until they are taken.
        clock: what time it is; the machine's if None.
        backoff: delays between attempts.
        draw: random numbers in [0, 1) to spread the delays by.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        issuer: str,
        within: float | None = WITHIN,
        reports: ReportBuffer | None = None,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(within=within, reports=reports, clock=clock, backoff=backoff, draw=draw)
        self._client = client
        self._url = f"{issuer.rstrip('/')}/status"
        self._stream = ""

    @property
    def _where(self) -> str:
        return f"{self._url}/events"

    async def _follow(self) -> None:
        start = self._held.start
        headers = {"Accept": "text/event-stream"}
        if start.position:
            headers["Last-Event-ID"] = f"{start.incarnation}:{start.position}"
        try:
            async with self._client.stream("GET", self._where, headers=headers, timeout=TIMEOUT) as response:
                _check(response)
                self._held.begin()
                self._due.set()
                await self._both(response)
        except httpx.HTTPError as error:
            raise UnavailableError(f"{self._where}: {str(error) or type(error).__name__}") from None

    async def _both(self, response: httpx.Response) -> None:
        sender = asyncio.get_running_loop().create_task(self._send_reports(), name="assay.tasktoken reports")
        try:
            async for kind, data in _events(response.aiter_lines()):
                await self._take(kind, data)
        finally:
            sender.cancel()
            await asyncio.wait({sender})

    async def _take(self, kind: str, data: str) -> None:
        if kind == "stream":
            self._stream = str(_object(data).get("stream", ""))
        elif kind == "update":
            update = _update(data)
            if self._held.apply(update):
                self._stands()
                # Waited for, so that what is confirmed is confirmed in order.
                await self._post("held", {"position": update.position, "stream": self._stream})
            self._tell()

    async def _send_reports(self) -> None:
        while True:
            await self._due.wait()
            if not self._closing:
                await self._clock.sleep(DELAY)
            self._due.clear()
            try:
                await self._send_all()
            except (AssayError, httpx.HTTPError) as error:
                log.warning("Reports could not be sent: %s", error)
                self._reports.again()
                self._due.set()
                await self._clock.sleep(self._backoff.limit)

    async def _send_all(self) -> None:
        while (batch := self._reports.next()) is not None:
            message = reports_message(self._reports.reporter, batch)
            answer = await self._post("reports", MessageToDict(message, preserving_proto_field_name=True))
            last = answer.get("last")
            if not isinstance(last, int) or answer.get("reporter") != self._reports.reporter:
                raise MalformedResponseError("malformed response: reports were not answered by their last number")
            self._reports.taken(last)
            self._tell()

    async def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._client.post(f"{self._url}/{what}", json=body, timeout=TIMEOUT)
        _check(response)
        return _object(response.text) if response.content else {}


def _check(response: httpx.Response) -> None:
    """Raises the refusal that a status stands for."""
    match response.status_code:
        case HTTPStatus.OK | HTTPStatus.NO_CONTENT:
            return
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNAUTHORIZED:
            raise UnauthenticatedError(f"{response.url} refuses this service", hint="does it show its X.509-SVID?")
        case HTTPStatus.FORBIDDEN:
            raise PermissionDeniedError(f"{response.url} refuses this service")
        case status:
            raise UnavailableError(f"{response.url} answered {status}")


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str]]:
    """Type and data of each event (HTML, section 9.2); all that we are sent have both."""
    kind, data = "", ""
    async for line in lines:
        name, _, value = line.partition(":")
        match name:
            case "":
                if not line and data:
                    yield kind, data
                if not line:
                    kind, data = "", ""
            case "event":
                kind = value.removeprefix(" ")
            case "data":
                data += value.removeprefix(" ")
                if len(data) > _MAX_LINE:
                    raise MalformedResponseError("malformed response: event is too long")
            case _:
                pass


def _update(data: str) -> pb.Update:
    try:
        return ParseDict(_object(data), pb.Update(), ignore_unknown_fields=True)
    except ParseError:
        raise MalformedResponseError("malformed response: no update of status") from None


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise MalformedResponseError("malformed response: not a JSON object")
    return cast("dict[str, Any]", found)
