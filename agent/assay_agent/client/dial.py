"""How the agent's channels are made."""

import asyncio
from collections.abc import Callable

from assay.errors import AssayError, UnavailableError
from assay.http2.protocol import Http2Protocol
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.spiffeid import SpiffeId
from assay.svid.refusal import Reason, RefusedError
from assay.transport.known import KnownServer
from assay_agent.client.connection import Dial
from assay_agent.client.refusal import UntrustedServerError

_UNKNOWN = frozenset({Reason.UNTRUSTED, Reason.UNKNOWN_TRUST_DOMAIN})
_UNKNOWN_HINT = (
    "if the server's keys were replaced, give the agent the bundle of now; rebootstrap_mode has it ask for that"
)


def dialling(server: KnownServer, connected: Callable[[], object] = lambda: None) -> Dial:
    """Makes channels to that server. A call fails as unavailable, in the words of what kept it from connecting.

    `connected` is called when the server has shown that it is the one.
    """

    async def connect(make: Callable[[], Http2Protocol]) -> tuple[asyncio.Transport, Http2Protocol]:
        try:
            connection = await server.connect(make)
        except AssayError as error:
            # Whatever is wrong with whoever answers there, the request is not.
            if _unknown(error, server.expected):
                raise UntrustedServerError(error.message, hint=_UNKNOWN_HINT) from error
            raise UnavailableError(error.message, hint=error.hint) from error
        connected()
        return connection

    return lambda: Channel(
        connect,
        max_message=MAX_MESSAGE_BYTES,
        scheme="https",
        authority=server.authority,
        silent=server.hung_up,
    )


def _unknown(error: AssayError, expected: SpiffeId) -> bool:
    """Whether nobody vouches for a server of the right trust domain. One of another is the wrong address, no more."""
    if not isinstance(error, RefusedError) or error.reason not in _UNKNOWN or error.spiffe_id is None:
        return False
    return error.spiffe_id.trust_domain == expected.trust_domain
