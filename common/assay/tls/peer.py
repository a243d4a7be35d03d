"""Who is at the other end of a TLS connection: checked as the last step of the handshake, and remembered."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId
from assay.svid.refusal import Reason, RefusedError, SvidRefusedError
from assay.transport.tls import presented_chain

Verify: TypeAlias = Callable[[Sequence[bytes]], SpiffeId]
Connection: TypeAlias = "ssl.SSLObject | ssl.SSLSocket | asyncio.BaseTransport | asyncio.StreamWriter"


class PeerRefusedError(ssl.SSLCertVerificationError):
    """A handshake that ended because of who the peer is; `refusal` has the reason as data.

    An `ssl.SSLError`, so that whatever handles failed handshakes handles this one.
    """

    def __init__(self, refusal: RefusedError) -> None:
        super().__init__(1, f"peer refused: {refusal}")
        self.refusal = refusal


class CheckedObject(ssl.SSLObject):
    """A connection in memory, as event loops use it."""

    spiffe_id: SpiffeId | None = None

    def do_handshake(self) -> None:
        """Shake hands, then look at who it is; raises PeerRefusedError."""
        super().do_handshake()
        self.spiffe_id = _check(self)


class CheckedSocket(ssl.SSLSocket):
    """A connection on a blocking socket."""

    spiffe_id: SpiffeId | None = None

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT002 - the signature is ssl's
        """Shake hands, then look at who it is; raises PeerRefusedError."""
        super().do_handshake(block)
        self.spiffe_id = _check(self)


class CheckingContext(ssl.SSLContext):
    """Makes connections that are checked by `verify`. `required` is whether the peer has to present an SVID."""

    sslobject_class = CheckedObject
    sslsocket_class = CheckedSocket
    verify: Verify
    required: bool


def peer_id(connection: Connection) -> SpiffeId | None:
    """The SPIFFE ID that the peer proved in the handshake; None if it presented no SVID and did not have to.

    Raises:
        InvalidArgumentError: no TLS connection of a context from here, or its handshake is not over.
    """
    return _checked(connection).spiffe_id


def peer_chain(connection: Connection) -> tuple[bytes, ...]:
    """The peer's certificates (DER, leaf first) as it presented them; none if none. Raises as `peer_id`."""
    return presented_chain(_checked(connection))


def _checked(connection: Connection) -> CheckedObject | CheckedSocket:
    found: Any = connection
    if not isinstance(connection, ssl.SSLObject | ssl.SSLSocket):
        found = connection.get_extra_info("ssl_object")
    if not isinstance(found, CheckedObject | CheckedSocket):
        raise InvalidArgumentError("not a TLS connection of assay.tls", hint="make its context by assay.tls")
    if found.version() is None:
        raise InvalidArgumentError("the TLS handshake is not over")
    return found


def _check(connection: CheckedObject | CheckedSocket) -> SpiffeId | None:
    context = connection.context
    if not isinstance(context, CheckingContext):
        raise TypeError("connections are checked by the context that made them")
    chain = presented_chain(connection)
    try:
        if chain:
            return context.verify(chain)
        if context.required:
            raise SvidRefusedError(Reason.NO_CREDENTIAL, "the peer presented no certificate")
    except RefusedError as refusal:
        raise PeerRefusedError(refusal) from refusal
    return None
