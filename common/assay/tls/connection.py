"""Connections that pass no byte before their peer was looked at, and what they tell of it."""

import socket
import ssl
from functools import cached_property
from typing import Any, Protocol, TypeAlias

from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId
from assay.tls.peer import Look, Peer, Rules
from assay.transport.tls import presented_chain


class Telling(Protocol):
    """What tells of the TLS beneath it: transports and stream writers, and the network streams of httpx."""

    def get_extra_info(self, name: str, /) -> Any:  # noqa: ANN401 - whatever it has
        """Whatever is known by that name, such as `ssl_object`."""
        ...


Connection: TypeAlias = ssl.SSLObject | ssl.SSLSocket | Telling


class Home(Protocol):
    """Where contexts are made."""

    def context(self) -> "CheckingContext":
        """The one for the next connection."""
        ...

    def retire(self, context: "CheckingContext") -> None:
        """Use it for no further connection."""
        ...


class CheckedObject(ssl.SSLObject):
    """A connection in memory, as event loops use it."""

    @cached_property
    def look(self) -> Look:
        """At the peer; made here, for the standard library makes these objects without calling a constructor."""
        return Look()

    def do_handshake(self) -> None:
        """Shake hands, then look at who it is; raises PeerRefusedError."""
        context = context_of(self)
        self.look.settle(super().do_handshake, lambda: context.peer(self))

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002, ANN401 - ssl's
        """As ever, after the handshake."""
        if self.look.peer is None:
            self.do_handshake()
        return super().read(len, buffer) if buffer is not None else super().read(len)

    def write(self, data: Any) -> int:  # noqa: ANN401 - ssl's
        """As ever, after the handshake."""
        if self.look.peer is None:
            self.do_handshake()
        return super().write(data)

    def verify_client_post_handshake(self) -> None:
        """Refused: who the peer is was settled in the handshake."""
        raise no_second_look()


class CheckedSocket(ssl.SSLSocket):
    """A connection on a socket. One whose handshake failed is closed."""

    do_handshake_on_connect: bool
    suppress_ragged_eofs: bool

    @cached_property
    def look(self) -> Look:
        """At the peer; made here, for the standard library makes these objects without calling a constructor."""
        return Look()

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT002 - ssl's
        """Shake hands, then look at who it is; raises PeerRefusedError."""
        context, shake = context_of(self), super().do_handshake
        try:
            self.look.settle(lambda: shake(block), lambda: context.peer(self))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            # The standard library would leave it open after `connect`, and send what is written to it in the clear.
            self.close()
            raise

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002, ANN401 - ssl's
        """As ever, after the handshake."""
        self._settle()
        return super().read(len, buffer)  # pyright: ignore[reportDeprecated] - deprecated, and there

    def write(self, data: Any) -> int:  # noqa: ANN401 - ssl's
        """As ever, after the handshake."""
        self._settle()
        return super().write(data)  # pyright: ignore[reportDeprecated] - deprecated, and there

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As ever, after the handshake."""
        self._settle()
        return super().recv(buflen, flags)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:  # noqa: ANN401 - ssl's
        """As ever, after the handshake."""
        self._settle()
        return super().recv_into(buffer, nbytes, flags)

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401 - ssl's
        """As ever, after the handshake."""
        self._settle()
        return super().send(data, flags)

    def accept(self) -> tuple[ssl.SSLSocket, Any]:
        """As ever; what is accepted presents the newest SVID, not the one from when this began to listen."""
        plain, address = socket.socket.accept(self)
        try:
            accepted = (
                context_of(self)
                .home.context()
                .wrap_socket(
                    plain,
                    server_side=True,
                    do_handshake_on_connect=self.do_handshake_on_connect,
                    suppress_ragged_eofs=self.suppress_ragged_eofs,
                )
            )
        except BaseException:
            plain.close()
            raise
        return accepted, address

    def _settle(self) -> None:
        # One that is not connected yet has no TLS either, and the standard library itself looks whether it can be read.
        begun = getattr(self, "_sslobj", None) is not None or getattr(self, "_connected", False)
        if self.look.peer is None and begun:
            self.do_handshake()

    def verify_client_post_handshake(self) -> None:
        """Refused: who the peer is was settled in the handshake."""
        raise no_second_look()


class CheckingContext(ssl.SSLContext):
    """Makes connections whose peers are judged by `rules`."""

    sslobject_class = CheckedObject
    sslsocket_class = CheckedSocket
    rules: Rules
    home: Home

    def peer(self, connection: ssl.SSLObject | ssl.SSLSocket) -> Peer:
        """Who is at the other end, now that hands are shaken.

        Raises:
            RefusedError: nobody who is wanted.
            ssl.SSLError: the handshake resumed a session.
        """
        if connection.session_reused:
            raise ssl.SSLError(1, "a resumed TLS session proves nobody's identity")
        # A server keeps sessions of TLS 1.2 by number, and ssl has no way to tell it not to.
        if connection.server_side and connection.version() == "TLSv1.2":
            self.home.retire(self)
        return self.rules.judge(presented_chain(connection))


def peer_id(connection: Connection) -> SpiffeId | None:
    """The SPIFFE ID that the peer proved in the handshake; None if it presented no SVID and did not have to.

    Raises:
        InvalidArgumentError: no TLS connection of a context from here, or one whose handshake is not over or failed.
    """
    return _peer(connection).spiffe_id


def peer_chain(connection: Connection) -> tuple[bytes, ...]:
    """The peer's certificates (DER, leaf first) as it presented them; none if none. Raises as `peer_id`."""
    return _peer(connection).chain


def context_of(connection: CheckedObject | CheckedSocket) -> CheckingContext:
    """The context that made the connection, and judges it."""
    context = connection.context
    if not isinstance(context, CheckingContext):
        raise ssl.SSLError(1, "connections are checked by the context that made them")
    return context


def no_second_look() -> InvalidArgumentError:
    """What asking for a certificate after the handshake ends with."""
    return InvalidArgumentError("the peer's identity was settled in the handshake", hint="peer_id has it")


def _peer(connection: Connection) -> Peer:
    found: object = connection
    if not isinstance(connection, ssl.SSLObject | ssl.SSLSocket):
        found = connection.get_extra_info("ssl_object")
        # Where a blocking socket is beneath, httpx gives what is inside of that.
        found = getattr(found, "owner", None) or found
    if not isinstance(found, CheckedObject | CheckedSocket):
        raise InvalidArgumentError("not a TLS connection of assay.tls", hint="make its context by assay.tls")
    peer = found.look.peer
    if peer is None:
        raise InvalidArgumentError("the TLS handshake is not over, or failed")
    return peer
