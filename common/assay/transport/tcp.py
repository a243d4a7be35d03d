"""TCP sockets as both ends of the house want them."""

import asyncio
import contextlib
import socket
from typing import Any

# A peer that is gone without a word is noticed after KEEPALIVE_IDLE + 3 x KEEPALIVE_INTERVAL seconds of silence, or
# when it acknowledged nothing for UNACKED milliseconds.
KEEPALIVE_IDLE = 30
KEEPALIVE_INTERVAL = 10
UNACKED = 60_000
_MAPPED = "::ffff:"


async def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Listen on an address or name; `::` and the empty name take IPv4 as well."""
    if not host:
        host = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - the caller asked for all of them
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = found[0]
    dual = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((str(address[0]), int(address[1])), family=family, backlog=backlog, dualstack_ipv6=dual)


def watch(connection: socket.socket) -> None:
    """Send without delay and notice a silent end."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKED)


def address(found: tuple[Any, ...]) -> str:
    """`host:port`, IPv6 hosts in brackets; IPv4 callers of a socket that takes both are IPv4's."""
    host, port = found[0].removeprefix(_MAPPED) if "." in found[0] else found[0], found[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
