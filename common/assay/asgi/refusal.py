"""What somebody is told who may not: the status and the reason, nothing that helps to guess."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, TypeAlias

from assay.svid.refusal import Reason, RefusedError

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1
"""What a WebSocket is closed with; before it is accepted, servers answer 403 instead."""


async def refuse_http(refusal: RefusedError, send: Send, *, challenge: bool) -> None:
    """Answer a request; `challenge` is whether a token would be taken."""
    status, headers, body = answer(refusal, challenge=challenge)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse_websocket(refusal: RefusedError, send: Send) -> None:
    """Close a WebSocket before it is accepted."""
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal.reason.value})


def answer(refusal: RefusedError, *, challenge: bool) -> tuple[int, Headers, bytes]:
    """Status, headers and body (JSON)."""
    wanted = refusal.reason is not Reason.NOT_AUTHORIZED
    status = HTTPStatus.UNAUTHORIZED if wanted else HTTPStatus.FORBIDDEN
    body = json.dumps({"error": status.phrase.lower(), "reason": refusal.reason.value}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if wanted and challenge:
        headers.append((b"www-authenticate", _challenge(refusal.reason)))
    return status.value, headers, body


def _challenge(reason: Reason) -> bytes:
    # RFC 6750, section 3.1: no error code for a request that brought nothing.
    return b"Bearer" if reason is Reason.NO_CREDENTIAL else b'Bearer error="invalid_token"'
