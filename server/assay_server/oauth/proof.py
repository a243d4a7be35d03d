"""Proofs that a client holds a key: DPoP (RFC 9449), and the PoP of clients that show an attestation.

Both are JWTs that say for whom they are and when they were made, each taken once.
"""

from assay.svid import compact, dpop
from assay.svid.refusal import SvidRefusedError
from assay.svid.replay import Seen, bad_proof, check_fresh
from assay_server.oauth.errors import OAuthError

POP_TYPE = "oauth-client-attestation-pop+jwt"


def dpop_thumbprint(proof: str, method: str, url: str, now: float, seen: Seen) -> str:
    """The thumbprint (RFC 7638) of the key that signed this DPoP proof for that request.

    Raises:
        OAuthError: it proves nothing here and now (`invalid_dpop_proof`).
    """
    try:
        return dpop.thumbprint_of(proof, method, url, now, seen)
    except SvidRefusedError as error:
        raise OAuthError("invalid_dpop_proof", error.message) from None


def check_attestation_pop(proof: str, public_key: bytes, algorithm: str, issuer: str, now: float, seen: Seen) -> None:
    """Refuse a PoP that the holder of this key (PKIX DER) did not make for this issuer a moment ago.

    Raises:
        OAuthError: `invalid_client`.
    """
    try:
        _check_pop(proof, public_key, algorithm, issuer, now, seen)
    except SvidRefusedError as error:
        raise OAuthError("invalid_client", error.message) from None


def _check_pop(proof: str, public_key: bytes, algorithm: str, issuer: str, now: float, seen: Seen) -> None:
    header, payload = compact.split(proof)
    if header.get("typ") != POP_TYPE or "crit" in header or header["alg"] != algorithm:
        raise bad_proof("its type or algorithm is not that of the attestation")
    compact.check_signature(proof, header, public_key)
    if payload.get("aud") != issuer:
        raise bad_proof("it is for another audience")
    check_fresh(payload, now, seen, "pop", dpop.LIFE)
