"""Proofs that a client holds a key: DPoP (RFC 9449), and the PoP of clients that show an attestation.

Both are JWTs that say for whom they are and when they were made, each taken once.
"""

import hashlib
from collections.abc import Mapping
from typing import cast

from assay.bundle import jwk
from assay.crypto.keys import to_pkix
from assay.errors import InvalidArgumentError
from assay.svid import compact
from assay.svid.refusal import SvidRefusedError
from assay_server.oauth.errors import OAuthError
from assay_server.oauth.replay import Seen

DPOP_TYPE = "dpop+jwt"
POP_TYPE = "oauth-client-attestation-pop+jwt"
LIFE = 300
"""Seconds that a proof is taken for after it was made."""
_SKEW = 60
_MAX_JTI = 200


def dpop_thumbprint(proof: str, method: str, url: str, now: float, seen: Seen) -> str:
    """The thumbprint (RFC 7638) of the key that signed this DPoP proof for that request.

    Raises:
        OAuthError: it proves nothing here and now (`invalid_dpop_proof`).
    """
    try:
        header, payload = compact.split(proof)
        if header.get("typ") != DPOP_TYPE or "crit" in header:
            raise _bad(f"its type is not {DPOP_TYPE}")
        members = cast("Mapping[str, object]", header.get("jwk") if isinstance(header.get("jwk"), dict) else {})
        compact.check_signature(proof, header, to_pkix(jwk.parse(members)))
    except (SvidRefusedError, InvalidArgumentError) as error:
        raise _bad(str(error)) from None
    if payload.get("htm") != method or payload.get("htu") != url:
        raise _bad("it is for another request")
    _check_fresh(payload, now, seen, "dpop")
    return jwk.thumbprint(members)


def check_attestation_pop(proof: str, public_key: bytes, algorithm: str, issuer: str, now: float, seen: Seen) -> None:
    """Refuse a PoP that the holder of this key (PKIX DER) did not make for this issuer a moment ago.

    Raises:
        OAuthError: `invalid_client`.
    """
    try:
        header, payload = compact.split(proof)
        if header.get("typ") != POP_TYPE or "crit" in header or header["alg"] != algorithm:
            raise _unproven("its type or algorithm is not that of the attestation")
        compact.check_signature(proof, header, public_key)
    except SvidRefusedError as error:
        raise _unproven(str(error)) from None
    if payload.get("aud") != issuer:
        raise _unproven("it is for another audience")
    try:
        _check_fresh(payload, now, seen, "pop")
    except OAuthError as error:
        raise _unproven(error.description) from None


def certificate_thumbprint(certificate: bytes) -> str:
    """A certificate's (DER) name in `cnf` (RFC 8705 section 3.1)."""
    return jwk.encode(hashlib.sha256(certificate).digest())


def _check_fresh(payload: Mapping[str, object], now: float, seen: Seen, kind: str) -> None:
    try:
        issued_at = compact.date(payload, "iat")
    except SvidRefusedError as error:
        raise _bad(str(error)) from None
    jti = payload.get("jti")
    if issued_at is None or not now - LIFE <= issued_at <= now + _SKEW:
        raise _bad("it was not made just now")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise _bad("it has no jti")
    if not seen.first(f"{kind}/{jti}", now, issued_at + LIFE + _SKEW):
        raise _bad("it was presented before")


def _bad(why: str) -> OAuthError:
    return OAuthError("invalid_dpop_proof", f"proof of possession is not accepted: {why}")


def _unproven(why: str) -> OAuthError:
    return OAuthError("invalid_client", f"proof of possession is not accepted: {why}")
