"""How the agent's channels are made."""

import asyncio
from collections.abc import Callable

from assay.errors import AssayError, UnavailableError
from assay.http2.protocol import Http2Protocol
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.transport.known import KnownServer
from assay_agent.client.connection import Dial


def dialling(server: KnownServer) -> Dial:
    """Makes channels to that server. A call fails as unavailable, in the words of what kept it from connecting."""

    async def connect(make: Callable[[], Http2Protocol]) -> tuple[asyncio.Transport, Http2Protocol]:
        try:
            return await server.connect(make)
        except AssayError as error:
            # Whatever is wrong with whoever answers there, the request is not.
            raise UnavailableError(error.message, hint=error.hint) from error

    return lambda: Channel(
        connect,
        max_message=MAX_MESSAGE_BYTES,
        scheme="https",
        authority=server.authority,
        silent=server.hung_up,
    )
