"""TLS for the listener that Prometheus comes to: what it presents, and whom it takes."""

import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from assay.bundle import pem
from assay.clock import Clock
from assay.errors import AssayError, FailedPreconditionError, UnauthenticatedError
from assay.keymanager.base import SigningKey
from assay.spiffeid import TrustDomain
from assay.svid.x509 import verify_roots
from assay.telemetry.settings import PrometheusTls
from assay.transport.tls import present, present_pem, presented_chain

# X509_V_FLAG_NO_CHECK_TIME, for which ssl has no name: times are for our own look, which has the clock.
_NO_CHECK_TIME = 0x200000


class Own(Protocol):
    """What a daemon knows of itself and of others. Asked in another thread, at each handshake."""

    def credentials(self) -> tuple[Sequence[bytes], SigningKey] | None:
        """The daemon's own X.509-SVID (DER, leaf first) and its key; None while there is none."""
        ...

    def roots(self, trust_domain: TrustDomain) -> Sequence[bytes]:
        """The X.509 authorities (DER) of a trust domain; none of one that is not known."""
        ...


class ScrapeTls:
    """Shakes hands by the newest SVID and roots, and by files as they were when they were last read.

    `own` is needed only as far as the settings have it used; without it no handshake succeeds.

    Raises:
        FailedPreconditionError: a file cannot be used.
    """

    def __init__(self, settings: PrometheusTls, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._files = _Files.read(settings)
        self.own: Own | None = None

    def reread(self) -> Callable[[], None]:
        """Read the files anew; what is returned takes over what they say.

        Raises:
            FailedPreconditionError: one cannot be used.
        """
        files = _Files.read(self._settings)

        def take() -> None:
            self._files = files

        return take

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """Shake hands on a connection, within its own timeout.

        Raises:
            OSError: that failed, or the client is not one to take.
            AssayError: likewise, or there is no SVID to present yet.
        """
        wrapped = self._context().wrap_socket(connection, server_side=True)
        try:
            self._check(wrapped)
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def _context(self) -> ssl.SSLContext:
        context = self._files.context()
        if self._settings.use_svid:
            credentials = self.own.credentials() if self.own is not None else None
            if credentials is None:
                raise FailedPreconditionError("there is no X.509-SVID to present yet")
            present(context, *credentials)
        if self._settings.authorized:
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
            if roots := b"".join(root for one in self._roots().values() for root in one):
                context.load_verify_locations(cadata=roots)
        return context

    def _check(self, connection: ssl.SSLSocket) -> None:
        """Look at who it is: to OpenSSL an authority of one trust domain may vouch for IDs of another."""
        if not self._settings.authorized:
            return
        spiffe_id = verify_roots(presented_chain(connection), self._roots(), self._clock.now())
        if spiffe_id not in self._settings.authorized:
            raise UnauthenticatedError(f'"{spiffe_id}" is none of authorized_spiffe_ids')

    def _roots(self) -> dict[TrustDomain, Sequence[bytes]]:
        wanted = {one.trust_domain for one in self._settings.authorized}
        return {one: self.own.roots(one) for one in wanted} if self.own is not None else {}


class _Files:
    """What the files said: certificate chain with key, and whom clients have to be signed by; either may be empty."""

    def __init__(self, chain: bytes, authorities: Sequence[bytes]) -> None:
        self._chain = chain
        self._authorities = b"".join(authorities)

    @classmethod
    def read(cls, settings: PrometheusTls) -> "_Files":
        authorities = _authorities(settings.client_ca_file)
        if settings.cert_file is None or settings.key_file is None:
            return cls(b"", authorities)
        chain, key = _read(settings.cert_file), _read(settings.key_file)
        try:
            found = cls(_certificates(chain) + key, authorities)
            found.context()
        except (ssl.SSLError, ValueError) as error:
            raise FailedPreconditionError(
                f"cert_file and key_file cannot be used: {error}",
                hint=f"{settings.cert_file} has to hold a certificate, {settings.key_file} its key, without password",
            ) from None
        return found

    def context(self) -> ssl.SSLContext:
        """For one handshake; each is a new one, that resumes no session."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0
        if self._chain:
            present_pem(context, self._chain)
        if self._authorities:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self._authorities)
        return context


def _authorities(path: Path | None) -> Sequence[bytes]:
    if path is None:
        return ()
    try:
        found = tuple(one.der for one in pem.parse(_read(path)))
    except AssayError as error:
        raise FailedPreconditionError(f"client_ca_file cannot be used: {error}") from None
    if not found:
        raise FailedPreconditionError("client_ca_file cannot be used", hint=f"{path} has no certificate")
    return found


def _certificates(pem: bytes) -> bytes:
    """Without a key that may stand beside them: the other file has the one to use."""
    found = x509.load_pem_x509_certificates(pem)
    return b"".join(one.public_bytes(Encoding.PEM) for one in found)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FailedPreconditionError(f"{path} cannot be read: {error.strerror or error}") from None
