"""Who is at the other end of a TLS connection: looked at as the last step of the handshake, once, and remembered.

OpenSSL shakes hands by itself when a connection is read or written that has not yet, so everything that reads or
writes goes through the look as well.
"""

import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from assay.spiffeid import SpiffeId
from assay.svid.refusal import Reason, RefusedError, SvidRefusedError

Verify: TypeAlias = Callable[[Sequence[bytes]], SpiffeId]

# Of the standard library: the program that imports us decides what becomes of it.
log = logging.getLogger("assay.tls")


class PeerRefusedError(ssl.SSLCertVerificationError):
    """A handshake that ended because of who the peer is; `refusal` has the reason as data.

    An `ssl.SSLError`, so that whatever handles failed handshakes handles this one.
    """

    def __init__(self, refusal: RefusedError) -> None:
        super().__init__(1, f"peer refused: {refusal}")
        self.refusal = refusal


class NoIdentityToPresentError(ssl.SSLError):
    """A handshake that cannot be, because this side's source has no SVID that is valid; `__cause__` is what it said."""

    def __init__(self, error: Exception) -> None:
        super().__init__(1, f"this side has no identity to present: {error}")


def refusal_of(error: BaseException | None) -> RefusedError | None:
    """Why a peer was refused, also where a library has made another error of it, as httpx does; None if it was not."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, PeerRefusedError):
            return error.refusal
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


@dataclass(frozen=True, slots=True)
class Peer:
    """What the peer proved. `chain` is DER, leaf first, as it was presented; both are empty if it presented nothing."""

    spiffe_id: SpiffeId | None
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """Who is taken. `required` is whether the peer has to present an SVID at all."""

    verify: Verify
    required: bool

    def judge(self, chain: tuple[bytes, ...]) -> Peer:
        """Who presented this.

        Raises:
            RefusedError: nobody who is wanted.
        """
        if chain:
            return Peer(self.verify(chain), chain)
        if self.required:
            raise SvidRefusedError(Reason.NO_CREDENTIAL, "the peer presented no certificate")
        return Peer(None, ())


class Look:
    """One connection's look at its peer. What it finds stands, also when the handshake is asked for again."""

    def __init__(self) -> None:
        self.peer: Peer | None = None
        self._failure: ssl.SSLError | None = None

    def fail(self, error: ssl.SSLError) -> None:
        """Have every attempt at the handshake end with that."""
        self._failure = error

    def settle(self, shake: Callable[[], None], find: Callable[[], Peer]) -> None:
        """Shake hands and find who it is, unless that is done.

        Raises:
            PeerRefusedError: the peer is not who is wanted, now or when it was looked at.
            ssl.SSLError: the handshake failed, or nobody could tell who the peer is.
        """
        if self._failure is not None:
            raise self._failure
        if self.peer is not None:
            return
        try:
            self.peer = _found(shake, find)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failure = error
            raise


def _found(shake: Callable[[], None], find: Callable[[], Peer]) -> Peer:
    try:
        _shaken(shake)
        return find()
    except RefusedError as refusal:
        log.info("Peer refused: %s", refusal, extra={"reason": refusal.reason.value})
        raise PeerRefusedError(refusal) from refusal
    except OSError:
        raise
    except Exception as error:
        # Event loops take an SSLError for a failed handshake, and other errors for their own.
        raise ssl.SSLError(1, f"nobody could tell who the peer is: {error}") from error


def _shaken(shake: Callable[[], None]) -> None:
    try:
        shake()
    except ssl.SSLCertVerificationError as error:
        # OpenSSL's own check, which asking clients for a certificate goes with.
        message = f"X.509-SVID could not be verified: {error.verify_message}"
        raise SvidRefusedError(Reason.UNTRUSTED, message) from error
