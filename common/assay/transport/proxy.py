"""Whose connection it is: the peer's own, or that of whom a trusted proxy passes on (PROXY protocol)."""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import structlog

from assay.errors import UnauthenticatedError
from assay.transport import tcp
from assay.transport.proxyheader import ABSENT, MAX_BINARY, ProxyHeader, parse

log = structlog.get_logger(__name__)

# Addresses that are named in the log when their header is refused; anybody may send one.
_NAMED = 16


class TrustedProxies:
    """Those whose header is believed. They may also call without one; nobody else may send one. SPIRE's rules."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        self.networks = tuple(networks)
        self._named: set[str] = set()

    def __contains__(self, host: str) -> bool:
        found = ip_address(host)
        if isinstance(found, IPv6Address):
            found = found.ipv4_mapped or found
        return any(found in network for network in self.networks)

    async def caller(self, connection: socket.socket, peer: tuple[Any, ...], seconds: float) -> str:
        """`host:port` of the caller on a connection from `peer`; what follows the header is left in the socket.

        Raises:
            InvalidArgumentError: the header is malformed.
            UnauthenticatedError: the peer is no trusted proxy and sent one.
            OSError: the connection ended, or nothing came within so many seconds.
        """
        async with asyncio.timeout(seconds):
            header = await read_header(connection)
        host = str(peer[0]).partition("%")[0]
        if header is not ABSENT and host not in self:
            self._tell(host)
            raise UnauthenticatedError(
                f"PROXY header from {host}, which is no trusted proxy",
                hint="if it is one, name it in proxy_protocol_trusted_cidrs",
            )
        return header.source or tcp.address(peer)

    def _tell(self, host: str) -> None:
        if host not in self._named and len(self._named) < _NAMED:
            self._named.add(host)
            log.warning("Refused PROXY header of a peer that proxy_protocol_trusted_cidrs does not name", address=host)


async def read_header(connection: socket.socket) -> ProxyHeader:
    """Take the header off a connection, and nothing else: TLS reads the rest from the socket itself.

    What begins like a header and is none may be taken as well; it is no TLS either.

    Raises:
        InvalidArgumentError: the header is malformed.
        OSError: the connection ended before it.
    """
    taken = b""
    while True:
        seen = await _peek(connection)
        if not seen:
            raise ConnectionResetError("peer left before it said anything")
        header = parse(taken + seen)
        if header is not None:
            _take(connection, header.size - len(taken))
            return header
        # Left in the socket, it would have the socket readable all the time.
        taken += _take(connection, len(seen))


def _take(connection: socket.socket, count: int) -> bytes:
    return connection.recv(count) if count > 0 else b""


async def _peek(connection: socket.socket) -> bytes:
    while True:
        try:
            return connection.recv(MAX_BINARY, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            await _readable(connection.fileno())


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)
