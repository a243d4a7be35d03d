"""Contexts that follow a source: each connection is made by a context of the newest SVID and bundles."""

import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Protocol, Self, cast

from assay.authorize import Authorizer
from assay.bundle import Bundle
from assay.clock import Clock
from assay.errors import InvalidArgumentError
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay.tls.connection import CheckedObject, CheckingContext
from assay.tls.peer import NoIdentityToPresentError, Rules, log
from assay.transport.tls import CIPHERS, present
from assay.verify import BundleSource, X509Verifier

FLOOR = ssl.TLSVersion.TLSv1_2
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, for which ssl has no name."""


class X509Identity(BundleSource, Protocol):
    """An SVID and the bundles to know others by, such as an open `assay.workloadapi.X509Source`."""

    def svid(self) -> X509Svid:
        """The newest, with its key. Whatever this raises fails the handshake."""
        ...


class SpiffeContext(ssl.SSLContext):
    """What `server_context` and `client_context` make: a face before contexts that come and go with the source.

    Of what may be set on a context, ALPN and `minimum_version` (never below TLS 1.2) count; the rest belongs to those
    two functions.
    """

    _maker: "_Maker"

    @classmethod
    def of(cls, maker: "_Maker") -> Self:
        """A context whose connections `maker` makes."""
        context = cls(maker.protocol)
        context.check_hostname = False
        # For those who ask: what is demanded is demanded, whoever checks it.
        context.verify_mode = ssl.CERT_REQUIRED if maker.required else ssl.CERT_OPTIONAL
        context.minimum_version = FLOOR
        context._maker = maker
        return context

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Offer these, for connections from then on."""
        offered = tuple(alpn_protocols)
        super().set_alpn_protocols(offered)
        self._maker.alpn = offered

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT002 - ssl's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,  # noqa: ARG002 - a resumed one would be taken without a look
    ) -> ssl.SSLObject:
        """As of any context; no session is resumed. Without an identity to present it is the handshake that fails."""
        try:
            return self._newest().wrap_bio(incoming, outgoing, server_side, server_hostname)
        except NoIdentityToPresentError as error:
            # asyncio would leave the connection open if this failed.
            made = CheckingContext(self._maker.protocol).wrap_bio(incoming, outgoing, server_side, server_hostname)
            cast("CheckedObject", made).look.fail(error)
            return made

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,  # noqa: FBT002 - ssl's
        do_handshake_on_connect: bool = True,  # noqa: FBT002 - ssl's
        suppress_ragged_eofs: bool = True,  # noqa: FBT002 - ssl's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,  # noqa: ARG002 - a resumed one would be taken without a look
    ) -> ssl.SSLSocket:
        """As of any context; no session is resumed.

        Raises:
            PeerRefusedError: the peer is not who is wanted.
            NoIdentityToPresentError: the source has no SVID that is valid.
        """
        newest = self._newest()
        return newest.wrap_socket(sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname)

    def _newest(self) -> CheckingContext:
        self._maker.floor = max(FLOOR, self.minimum_version)
        return self._maker.context()


class _Maker:
    """Makes a context of what the source has, anew only when that has changed."""

    def __init__(
        self,
        protocol: int,
        identity: X509Identity | None,
        bundles: BundleSource,
        verifier: X509Verifier,
        *,
        required: bool,
    ) -> None:
        self.protocol = protocol
        self.required = required
        self._identity = identity
        self._bundles = bundles
        self._rules = Rules(verifier.verify, required)
        self.alpn: tuple[str, ...] = ()
        self.floor = FLOOR
        self._made: tuple[object, CheckingContext] | None = None

    def context(self) -> CheckingContext:
        """The one for the next connection.

        Raises:
            NoIdentityToPresentError: the source has no SVID that is valid, or it cannot be presented.
        """
        try:
            return self._context()
        except Exception as error:
            log.warning("No TLS connection can be made: %s", error)
            raise NoIdentityToPresentError(error) from error

    def _context(self) -> CheckingContext:
        svid = self._identity.svid() if self._identity else None
        bundles = self._bundles.bundles()
        state = (svid, bundles, self.alpn, self.floor)
        # Threads may meet here: each takes what it looked at, and the last one's stays.
        made = self._made
        if made is None or made[0] != state:
            made = (state, self._make(svid, bundles))
            self._made = made
        return made[1]

    def retire(self, context: CheckingContext) -> None:
        """Make the next connection by another one, though nothing has changed."""
        made = self._made
        if made is not None and made[1] is context:
            self._made = None

    def _make(self, svid: X509Svid | None, bundles: Mapping[TrustDomain, Bundle]) -> CheckingContext:
        context = CheckingContext(self.protocol)
        context.rules, context.home = self._rules, self
        _harden(context, self.floor)
        if self.alpn:
            context.set_alpn_protocols(self.alpn)
        if self.protocol == ssl.PROTOCOL_TLS_SERVER:
            _ask_for_certificate(context, bundles, required=self.required)
        if svid is not None:
            _present(context, svid)
        return context


def server_context(
    source: X509Identity, authorize: Authorizer, *, required: bool = True, clock: Clock | None = None
) -> SpiffeContext:
    """For servers: presents the source's SVID, and takes clients whom `authorize` admits.

    Unless `required`, clients without a certificate are taken too (`peer_id` is None then), for services that know
    callers by JWT-SVIDs as well; a certificate that is presented has to be good in any case.
    """
    verifier = X509Verifier(source, authorize, clock)
    return SpiffeContext.of(_Maker(ssl.PROTOCOL_TLS_SERVER, source, source, verifier, required=required))


def client_context(
    source: X509Identity | BundleSource, authorize: Authorizer, *, presents: bool = True, clock: Clock | None = None
) -> SpiffeContext:
    """For clients: takes the server if `authorize` admits it, whatever its host name; presents the source's SVID.

    With `presents=False` it presents nothing, and a source of bundles alone will do.

    Raises:
        InvalidArgumentError: `source` has no SVID to present.
    """
    identity = _identity(source) if presents else None
    verifier = X509Verifier(source, authorize, clock)
    return SpiffeContext.of(_Maker(ssl.PROTOCOL_TLS_CLIENT, identity, source, verifier, required=True))


def _identity(source: X509Identity | BundleSource) -> X509Identity:
    if not hasattr(source, "svid"):
        raise InvalidArgumentError(
            "the source has no X.509-SVID to present", hint="give an X509Source, or say presents=False"
        )
    return cast("X509Identity", source)


def _harden(context: ssl.SSLContext, floor: ssl.TLSVersion) -> None:
    context.minimum_version = floor
    context.set_ciphers(CIPHERS)
    # Renegotiation could change the peer's certificate after it was looked at; a resumed session would be taken
    # without a look at the bundles of today.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    # OpenSSL's own check would refuse chains that are right (see `assay.transport.tls.client_context`). Ours follows.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def _ask_for_certificate(context: ssl.SSLContext, bundles: Mapping[TrustDomain, Bundle], *, required: bool) -> None:
    # Asking goes with OpenSSL's check, by the authorities of all trust domains in one store. Ours, by those of the
    # peer's own, follows; and dates are for that one, which has the clock.
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    roots = b"".join(authority.der for bundle in bundles.values() for authority in bundle.x509_authorities)
    if roots:
        context.load_verify_locations(cadata=roots)


def _present(context: ssl.SSLContext, svid: X509Svid) -> None:
    if svid.key is None:
        raise InvalidArgumentError(f"X.509-SVID of {svid.spiffe_id} came without its key")
    present(context, svid.chain, svid.key)
