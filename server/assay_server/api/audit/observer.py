"""Leaves a trail of every RPC: handlers know nothing of it, their messages say what there is to say."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

from assay.clock import Clock
from assay.rpc import server
from assay.rpc.method import Method
from assay.rpc.status import EndError, StatusCode
from assay.telemetry.names import status_name
from assay.telemetry.tracing import note
from assay.transport.peer import Peer, UnixPeer
from assay_server.api.audit.fields import ABOUT, ITEMS
from assay_server.api.audit.note import noted, take_notes
from assay_server.audit.record import Fields, LocalCaller, Outcome, Record, RemoteCaller, Trail
from assay_server.authorization.caller import admitted_caller
from assay_server.authorization.table import RPCS, Who

# Asked every few seconds by whoever watches the server: nobody's deed.
UNSAID = "/grpc.health.v1.Health/"
# Its first response may be a challenge; other streams have been granted when something is sent.
_GRANTED_AT_THE_END = "/spire.api.server.agent.v1.Agent/AttestAgent"

_OK = Outcome()


class Audit:
    """Puts the trail round methods."""

    def __init__(
        self, trails: Sequence[Trail], clock: Clock, peer_of: Callable[[object], Peer] = server.peer_of
    ) -> None:
        self._trails = trails
        self._clock = clock
        self._peer_of = peer_of

    def __call__(self, method: Method) -> Method:
        """The same method, with a trail."""
        if method.path.startswith(UNSAID):
            return method
        behavior = self._stream(method) if method.response_streaming else self._unary(method)
        return replace(method, behavior=behavior)

    def _unary(self, method: Method) -> Callable[[object, object], object]:
        async def unary(request: object, context: object) -> object:
            call = self._begun(method, context)
            call.request = request
            try:
                response = await method.behavior(request, context)
            except (EndError, asyncio.CancelledError) as error:
                call.failed(error)
                raise
            call.succeeded(response)
            return response

        return unary

    def _stream(self, method: Method) -> Callable[[object, object], AsyncIterator[object]]:
        async def stream(request: object, context: object) -> AsyncIterator[object]:
            call = self._begun(method, context)
            if not method.request_streaming:
                call.request = request
            response: object = None
            try:
                async with aclosing(method.behavior(request, context)) as responses:
                    async for response in responses:
                        if method.path != _GRANTED_AT_THE_END:
                            call.succeeded(response)
                        yield response
            except (EndError, asyncio.CancelledError) as error:
                call.failed(error)
                raise
            call.succeeded(response)

        return stream

    def _begun(self, method: Method, context: object) -> "_Call":
        take_notes()
        call = _Call(method.path, caller_of(self._peer_of(context)), self._write)
        note("assay.request_id", call.request_id)
        return call

    def _write(self, call: "_Call", about: Fields, outcome: Outcome) -> None:
        record = Record(self._clock.now(), call.request_id, call.path, call.caller, _role(call.path), about, outcome)
        for trail in self._trails:
            trail.write(record)


@dataclass(slots=True)
class _Call:
    """One call while it runs. `request` is None when there may be many: handlers note what those say."""

    path: str
    caller: LocalCaller | RemoteCaller
    write: Callable[["_Call", Fields, Outcome], None]
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    request: object = None
    said: bool = False

    def succeeded(self, response: object) -> None:
        """Say that it was done, once; of a batch each item, done or not."""
        if self.said:
            return
        self.said = True
        items = ITEMS.get(self.path)
        if items is None:
            self.write(self, {**self._about(response), **noted()}, _OK)
            return
        for about, status in items(self.request, response):
            code = status_name(StatusCode(status.code).name)
            self.write(self, about, Outcome(code, status.message) if status.code else _OK)

    def failed(self, error: EndError | asyncio.CancelledError) -> None:
        """Say why it was not done. A granted stream that its caller leaves, or the server's end, has had its line."""
        ended = not isinstance(error, EndError) or error.code is StatusCode.UNAVAILABLE
        if self.said and ended:
            return
        if isinstance(error, EndError):
            outcome = Outcome(status_name(error.code.name), error.message)
        else:
            outcome = Outcome("Canceled", "call was cancelled")
        self.write(self, {**self._about(None), **noted()}, outcome)

    def _about(self, response: object) -> Fields:
        about = ABOUT.get(self.path)
        # What a caller sent in place of a message says nothing, nor does what is sent to an RPC that nobody serves.
        known = self.path == _GRANTED_AT_THE_END or hasattr(self.request, "DESCRIPTOR")
        return about(self.request, response) if about and known else {}


def _role(path: str) -> str:
    """What the caller was admitted as; nothing if it was not."""
    caller = admitted_caller()
    if caller is None:
        return ""
    return "nobody" if Who.ANYONE in RPCS[path] else caller.kind.value


def caller_of(peer: Peer) -> LocalCaller | RemoteCaller:
    """Who is at the other end."""
    if isinstance(peer, UnixPeer):
        return LocalCaller(peer.uid, peer.gid, peer.pid, _program(peer))
    return RemoteCaller(peer.address, str(peer.spiffe_id) if peer.spiffe_id is not None else "")


def _program(peer: UnixPeer) -> str:
    with contextlib.suppress(OSError):
        path = str(Path(f"/proc/{peer.pid}/exe").readlink())
        # Looked at afterwards: only then it was this process's.
        return path if peer.process.alive() else ""
    return ""
