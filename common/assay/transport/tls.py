"""TLS by SPIFFE rules: what we present, what we demand, and who the peer turned out to be."""

import os
import ssl
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, cast

from cryptography import x509

from assay.clock import Clock
from assay.crypto.keys import to_pem
from assay.errors import FailedPreconditionError, InvalidArgumentError, UnauthenticatedError
from assay.keymanager import SigningKey
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid.x509 import leaf_id, verify_roots

ALPN = "h2"
# What RFC 9113 section 9.2.2 leaves of TLS 1.2.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_DER = 2  # _ssl.ENCODING_DER


class Welcome(Protocol):
    """How a server shakes hands, and whom it takes."""

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake."""
        ...

    def verify(self, chain: Sequence[bytes]) -> SpiffeId:
        """The ID of a client (DER, leaf first).

        Raises:
            UnauthenticatedError: it is not taken.
        """
        ...


class TlsIdentity:
    """A server's SVID and the roots it takes clients by; `set` changes them for all handshakes from then on.

    Clients of `trust_domain` are welcome, of others only those in `admitted`; the rest may come without certificate.
    """

    def __init__(self, trust_domain: TrustDomain, clock: Clock, admitted: Collection[SpiffeId] = ()) -> None:
        self.trust_domain = trust_domain
        self._clock = clock
        self._admitted = frozenset(admitted)
        self._roots: Mapping[TrustDomain, Sequence[bytes]] = {}
        self._context: ssl.SSLContext | None = None

    def admit(self, admitted: Collection[SpiffeId]) -> None:
        """Take these clients of other trust domains, and no more those of before."""
        self._admitted = frozenset(admitted)

    def set(self, chain: Sequence[bytes], key: SigningKey, roots: Mapping[TrustDomain, Sequence[bytes]]) -> None:
        """Present `chain` (DER, leaf first) and take clients that the `roots` (DER) of their trust domain vouch for.

        Raises:
            InvalidArgumentError: the chain is not of this trust domain, or the key is not its.
        """
        if not leaf_id(x509.load_der_x509_certificate(chain[0])).member_of(self.trust_domain):
            raise InvalidArgumentError(f"server's X.509-SVID is not of trust domain {self.trust_domain}")
        context = _server_context([root for one in roots.values() for root in one])
        present(context, chain, key)
        self._roots = {trust_domain: tuple(one) for trust_domain, one in roots.items()}
        self._context = context

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake. Each `set` makes a new one, which knows no session of the one before.

        Raises:
            FailedPreconditionError: nothing is set yet.
        """
        if self._context is None:
            raise FailedPreconditionError("server has no X.509-SVID yet")
        return self._context

    def verify(self, chain: Sequence[bytes]) -> SpiffeId:
        """The ID of a client by what is trusted now.

        OpenSSL has all roots in one store, where an authority of one trust domain could vouch for IDs of another.

        Raises:
            UnauthenticatedError: no authority of its own trust domain vouches for it, or it is not admitted.
        """
        spiffe_id = verify_roots(chain, self._roots, self._clock.now())
        if not spiffe_id.member_of(self.trust_domain) and spiffe_id not in self._admitted:
            raise UnauthenticatedError(f'unexpected trust domain in ID "{spiffe_id}"')
        return spiffe_id


def _server_context(roots: Sequence[bytes]) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    # A resumed session would be taken without a look at the roots of today.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_OPTIONAL
    # An authority of a bundle need not be self-signed.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if roots:
        context.load_verify_locations(cadata=b"".join(roots))
    return context


def client_context() -> ssl.SSLContext:
    """For dialling; the caller must verify the chain itself.

    OpenSSL's own check would refuse chains that are right: it takes a certificate for self-signed when its subject
    equals its issuer's and no key identifier tells them apart.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols([ALPN])
    # Renegotiation could change the peer's certificate after it was looked at.
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def present(context: ssl.SSLContext, chain: Sequence[bytes], key: SigningKey) -> None:
    """Have `context` present an SVID.

    Raises:
        InvalidArgumentError: the key does not belong to the chain.
    """
    pem = b"".join(ssl.DER_cert_to_PEM_cert(one).encode() for one in chain)
    pem += to_pem(key)
    try:
        present_pem(context, pem)
    except ssl.SSLError as error:
        raise InvalidArgumentError(f"X.509-SVID cannot be used for TLS: {error}") from None


def present_pem(context: ssl.SSLContext, pem: bytes) -> None:
    """Have `context` present certificates, leaf first, whose key is among them.

    Raises:
        ssl.SSLError: the key is missing, has a password or does not belong to the leaf.
    """
    # load_cert_chain wants a file; this one is in memory and has no name.
    fd = os.memfd_create("svid", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(pem)
        # Given none it would ask for a password on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{fd}", password=b"")
    finally:
        os.close(fd)


def presented_chain(connection: ssl.SSLObject | ssl.SSLSocket) -> tuple[bytes, ...]:
    """The peer's certificates (DER, leaf first) as it sent them; none if it sent none."""
    # A server whose client sent no certificate may find a None in the chain, which the public method (from 3.13) is not
    # ready for.
    chain = cast("Any", connection)._sslobj.get_unverified_chain()  # noqa: SLF001 - see above
    return tuple(one.public_bytes(_DER) for one in chain or () if one is not None)
