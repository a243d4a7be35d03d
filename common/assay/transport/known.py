"""Servers that are known by their SPIFFE ID, and how they are reached."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from cryptography import x509

from assay.clock import Clock
from assay.errors import UnauthenticatedError, UnavailableError
from assay.keymanager import SigningKey
from assay.spiffeid import SpiffeId
from assay.svid.x509 import leaf_id, verify_roots
from assay.transport import tcp
from assay.transport.arrival import Arrival
from assay.transport.limits import ORDINARY, Limits
from assay.transport.tls import client_context, present, presented_chain

# DER roots of the server's trust domain, and the SVID (DER chain, leaf first, with its key) to present, if any; asked
# for at each handshake.
Roots: TypeAlias = Callable[[], Sequence[bytes]]
Identity: TypeAlias = Callable[[], tuple[Sequence[bytes], SigningKey] | None]

P = TypeVar("P", bound=Arrival)


class KnownServer:
    """The server at `host:port`, if it is `expected`: each connection is an mTLS handshake.

    With `insecure` nothing but the name in the certificate is looked at, which anyone can claim: for a bootstrap
    that will be checked otherwise. `peer_chain` is what the server presented last (DER, leaf first).
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        expected: SpiffeId,
        roots: Roots,
        identity: Identity,
        clock: Clock,
        insecure: bool = False,
        limits: Limits = ORDINARY,
    ) -> None:
        self.peer_chain: tuple[bytes, ...] = ()
        self.authority = f"{host}:{port}"
        self._host = host
        self._port = port
        self.expected = expected
        self._roots = roots
        self._identity = identity
        self._clock = clock
        self._insecure = insecure
        self._limits = limits

    async def connect(self, make: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """A connection, with the roots and the identity of this moment; no byte of ours is sent on it yet.

        Raises:
            UnavailableError: nobody is there, or the handshake failed.
            UnauthenticatedError: somebody else is.
        """
        try:
            async with asyncio.timeout(self._limits.connect + self._limits.handshake):
                transport, protocol = await self._handshake(make)
        except (OSError, TimeoutError) as error:
            raise UnavailableError(f"could not connect to {self.authority}: {str(error) or 'timed out'}") from error
        try:
            self._check(presented_chain(transport.get_extra_info("ssl_object")))
        except BaseException:
            transport.abort()
            raise
        return transport, protocol

    def hung_up(self, error: Exception | None) -> UnavailableError:
        """What to say of a connection that the server ended before it sent a byte.

        With TLS 1.3 the server judges our certificate only after our side of the handshake is done, and not every
        server says why it hangs up.
        """
        why = (isinstance(error, ssl.SSLError) and error.reason) or "without a word"
        return UnavailableError(
            f"{self.authority} ended the connection before it answered: {why}",
            hint="it may not trust the X.509-SVID presented to it",
        )

    async def _handshake(self, make: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        context = client_context()
        identity = self._identity()
        if identity is not None:
            present(context, *identity)
        transport, protocol = await asyncio.get_running_loop().create_connection(
            make,
            self._host,
            self._port,
            ssl=context,
            server_hostname=self._host,
            ssl_handshake_timeout=self._limits.handshake,
            ssl_shutdown_timeout=self._limits.linger,
        )
        tcp.watch(transport.get_extra_info("socket"))
        return transport, protocol

    def _check(self, chain: tuple[bytes, ...]) -> None:
        if self._insecure:
            found = leaf_id(x509.load_der_x509_certificate(chain[0]))
        else:
            found = verify_roots(chain, {self.expected.trust_domain: self._roots()}, self._clock.now())
        if found != self.expected:
            raise UnauthenticatedError(f'expected server SPIFFE ID "{self.expected}"; got "{found}"')
        self.peer_chain = chain
