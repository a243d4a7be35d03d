"""DPoP (RFC 9449): proofs that whoever sends a request holds the key that its token is bound to.

A proof is a JWT that carries its own public key, is for one request (`htm`, `htu`) and, beside an access token, for
that token (`ath`). It proves nothing of who holds the key: the token's `jkt` does.

Decisions where the standard leaves a choice: there are no nonces, a proof counts by its `iat` and once; `htu` is
compared without query and fragment, with scheme and host in lower case and without the port that the scheme implies.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import cast
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from assay.bundle import jwk
from assay.crypto.keys import to_pkix
from assay.errors import InvalidArgumentError
from assay.keymanager.base import SigningKey
from assay.svid import compact, witkey
from assay.svid.refusal import Reason, SvidRefusedError
from assay.svid.replay import Seen, bad_proof, check_fresh

__all__ = ["HEADER", "LIFE", "SCHEME", "TYPE", "DpopKey", "thumbprint_of"]

TYPE = "dpop+jwt"
HEADER = SCHEME = "DPoP"
"""The header that proofs are sent in, and the scheme of `Authorization` for the tokens beside them (section 7.1)."""
LIFE = 300
"""Seconds that a proof is taken for after it was made, unless told otherwise."""

_JTI_BYTES = 16
_MAX_HEADER = 2048
# Keys whose proofs came lately: all proofs of one key have one header.
_KEYS = 256
_URLS, _MAX_URL = 256, 2048
_PORTS = {"https": 443, "http": 80}


def thumbprint_of(
    proof: str, method: str, url: str, now: float, seen: Seen, *, access_token: str = "", life: float = LIFE
) -> str:
    """The thumbprint (RFC 7638) of the key that made this proof for that request a moment ago.

    `url` is this service's own name for what is asked for, never what the request says of its host.

    Raises:
        SvidRefusedError: it proves nothing here and now.
        ResourceExhaustedError: more proofs come than can be remembered.
    """
    try:
        header, payload = compact.split(proof)
        thumbprint, public_key = _key_in(proof.partition(".")[0])
        compact.check_signature(proof, header, public_key)
    except SvidRefusedError as error:
        raise error if error.reason is Reason.BAD_PROOF else bad_proof(error.message) from None
    except InvalidArgumentError as error:
        raise bad_proof(error.message) from None
    if payload.get("htm") != method or not _same_place(payload.get("htu"), url):
        raise bad_proof("it is for another request")
    if access_token and not _is_of(payload.get("ath"), access_token):
        raise bad_proof("it is for another token")
    check_fresh(payload, now, seen, f"dpop/{thumbprint}", life)
    return thumbprint


@lru_cache(maxsize=_KEYS)
def _key_in(part: str) -> tuple[str, bytes]:
    """Thumbprint and public key (PKIX DER) by the first part of a proof, which is no proof of anything yet."""
    if len(part) > _MAX_HEADER:
        raise bad_proof("its header is too long")
    header = compact.header_of(part)
    members = header.get("jwk")
    if header.get("typ") != TYPE or "crit" in header:
        raise bad_proof(f"its type is not {TYPE}")
    if not isinstance(members, dict):
        raise bad_proof("it has no key")
    found = cast("Mapping[str, object]", members)
    key = jwk.parse(found)
    return jwk.thumbprint_of(key), to_pkix(key)


def _same_place(claim: object, url: str) -> bool:
    if not isinstance(claim, str) or len(claim) > _MAX_URL:
        return False
    return claim == url or (_place(claim) or claim) == _place(url)


@lru_cache(maxsize=_URLS)
def _place(url: str) -> tuple[str, str, int | None, str] | None:
    """What is compared of a URL; None where it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port, parts.path or "/"


def _is_of(claim: object, access_token: str) -> bool:
    return isinstance(claim, str) and hmac.compare_digest(claim.encode(), _digest(access_token).encode())


def _digest(token: str) -> str:
    return jwk.encode(hashlib.sha256(token.encode()).digest())


@dataclass(frozen=True, slots=True)
class DpopKey:
    """A client's key and its thumbprint; `create` makes one (P-256)."""

    key: SigningKey = field(repr=False)
    thumbprint: str

    @classmethod
    def create(cls) -> "DpopKey":
        """A new one, in memory alone."""
        return cls.of(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def of(cls, key: SigningKey) -> "DpopKey":
        """Of a key that is there, EC or RSA."""
        return cls(key, jwk.thumbprint(jwk.emit(key.public_key())))

    def prove(self, method: str, url: str, now: datetime, *, access_token: str = "") -> str:
        """A proof for one request: a new one for each, also when it is sent again. Query and fragment are left out."""
        header = {"alg": witkey.algorithm_of(self.key), "typ": TYPE, "jwk": jwk.emit(self.key.public_key())}
        claims: dict[str, object] = {
            "htm": method,
            "htu": url.partition("#")[0].partition("?")[0],
            "iat": int(now.timestamp()),
            "jti": secrets.token_urlsafe(_JTI_BYTES),
        }
        if access_token:
            claims["ath"] = _digest(access_token)
        return compact.sign(header, claims, self.key)
