"""Proofs that a caller holds the key of its WIT-SVID: WIMSE's Workload Proof Token (draft-ietf-wimse-wpt, section 2).

A proof is a short-lived JWT that the workload's key signs. It is for one receiver (`aud`), and bound to one WIT-SVID
(`wth`) and to the access token beside it, if there is one (`ath`). The two travel in headers of their own, over TLS,
and never in `Authorization`.

Decisions where the draft leaves a choice: a proof that lives longer than `MAX_LIFE` is refused, as is one bound to
tokens that the verifier was not shown. `jti` has to be there; to remember it is for who wants each proof used once.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime

from assay.bundle import jwk
from assay.errors import InvalidArgumentError
from assay.svid import compact
from assay.svid.compact import LEEWAY
from assay.svid.refusal import Reason, SvidRefusedError
from assay.svid.witsvid import WitSvid

__all__ = ["LIFE", "MAX_LIFE", "PROOF_HEADER", "TOKEN_HEADER", "TYPE", "prove", "verify"]

TOKEN_HEADER, PROOF_HEADER = "Workload-Identity-Token", "Workload-Proof-Token"
"""The HTTP headers that the two are presented in."""
TYPE = "wpt+jwt"
LIFE = 60
"""Seconds that a proof lives unless told otherwise."""
MAX_LIFE = 300
"""Seconds that a proof may have before it, `LEEWAY` aside."""

_JTI_BYTES = 16
# Hashes of tokens that this has no argument for.
_OTHER_TOKENS = ("tth", "oth")


def prove(svid: WitSvid, audience: str, now: datetime, *, life: int = LIFE, access_token: str = "") -> str:
    """A proof for that audience, such as the URI of the request without query and fragment.

    Raises:
        InvalidArgumentError: the SVID has no private key, there is no audience, or it is to live too long.
    """
    if svid.key is None:
        raise InvalidArgumentError("WIT-SVID has no private key", hint="it is whose SVID it is that proves it")
    if not audience:
        raise InvalidArgumentError("audience must be specified")
    if not 0 < life <= MAX_LIFE:
        raise InvalidArgumentError(f"a proof lives at most {MAX_LIFE} seconds")
    header = {"alg": svid.algorithm, "typ": TYPE}
    claims: dict[str, object] = {
        "aud": audience,
        "exp": int(now.timestamp()) + life,
        "jti": secrets.token_urlsafe(_JTI_BYTES),
        "wth": _digest(svid.token),
    }
    if access_token:
        claims["ath"] = _digest(access_token)
    return compact.sign(header, claims, svid.key)


def verify(proof: str, svid: WitSvid, audience: str, now: datetime, *, access_token: str = "") -> None:
    """Refuse a proof that the holder of this SVID's key did not make for this audience a moment ago.

    `svid` is verified already. `audience` is this service's own name for itself, never what the request says.

    Raises:
        SvidRefusedError: it proves nothing here and now.
        InvalidArgumentError: no audience is given.
    """
    if not audience:
        raise InvalidArgumentError("audience must be specified")
    try:
        _check(proof, svid, audience, now.timestamp(), access_token)
    except SvidRefusedError as refusal:
        refusal.spiffe_id = svid.spiffe_id
        raise


def _check(proof: str, svid: WitSvid, audience: str, now: float, access_token: str) -> None:
    if not proof:
        raise SvidRefusedError(Reason.NO_PROOF, "no proof of possession was presented")
    header, payload = compact.split(proof)
    if header.get("typ") != TYPE or "crit" in header:
        raise _bad(f"its type is not {TYPE}")
    if header["alg"] != svid.algorithm:
        raise _bad("its algorithm is not that of the key in cnf")
    compact.check_signature(proof, header, svid.public_key)
    if payload.get("aud") != audience:
        raise SvidRefusedError(Reason.WRONG_AUDIENCE, "proof of possession is for another audience")
    compact.check_time(payload, now)
    if compact.expiry(payload) > now + MAX_LIFE + LEEWAY:
        raise _bad("it lives too long")
    if not isinstance(payload.get("jti"), str) or not payload["jti"]:
        raise _bad("it has no jti")
    if not _same(payload.get("wth"), svid.token):
        raise _bad("it is bound to another token")
    _check_bound(payload, access_token)


def _check_bound(payload: Mapping[str, object], access_token: str) -> None:
    if any(name in payload for name in _OTHER_TOKENS):
        raise _bad("it is bound to tokens that were not presented")
    if ("ath" in payload) != bool(access_token) or (access_token and not _same(payload["ath"], access_token)):
        raise _bad("it is bound to another access token")


def _bad(why: str) -> SvidRefusedError:
    return SvidRefusedError(Reason.BAD_PROOF, f"proof of possession is not accepted: {why}")


def _digest(token: str) -> str:
    return jwk.encode(hashlib.sha256(token.encode()).digest())


def _same(claim: object, token: str) -> bool:
    return isinstance(claim, str) and hmac.compare_digest(claim.encode(), _digest(token).encode())
