"""Reading WIT-SVIDs (WIT-SVID sections 2 to 4 and 6.2). What they share with JWT-SVIDs is in `assay.svid.compact`.

A WIT-SVID names a workload and its key, and whoever has seen it can show it again. So nothing here says who calls:
that takes the caller's proof that it holds the key, see `assay.svid.proof`, and `assay.verify.WitVerifier` wants both.

Decisions where the standard leaves a choice: header parameters that are not known are passed over, `crit` is refused;
clocks may differ by `LEEWAY`; `iat` is no limit; `jti` says nothing here; a `cnf` with a second way to name a key is
refused (RFC 7800, section 3.1).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import cast

from assay.bundle import Bundle, jwk
from assay.crypto.keys import to_pkix
from assay.errors import InvalidArgumentError
from assay.keymanager.base import SigningKey
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import compact, jws, witkey
from assay.svid.compact import LEEWAY
from assay.svid.refusal import Reason, SvidRefusedError
from assay.svid.witsvid import WitSvid

__all__ = ["LEEWAY", "TYPE", "parse", "verify", "with_key"]

TYPE = "wit+jwt"
_OTHER_CONFIRMATIONS = ("jwe", "jku")


def verify(token: str, bundles: Mapping[TrustDomain, Bundle], now: datetime) -> WitSvid:
    """The WIT-SVID that a token is. It proves who calls only together with a proof of possession.

    Raises:
        SvidRefusedError: it is not one, is expired, or no WIT authority of its own trust domain signed it.
    """
    header, payload = compact.split(token)
    key_id = _check_header(header)
    spiffe_id = compact.subject(payload)
    try:
        compact.check_signature(token, header, _authority(bundles, spiffe_id.trust_domain, key_id))
        svid = _svid(token, spiffe_id, payload)
        compact.check_time(payload, now.timestamp())
    except SvidRefusedError as refusal:
        refusal.spiffe_id = spiffe_id
        raise
    return svid


def parse(token: str) -> WitSvid:
    """What a token says, without looking at its signature or dates: for a token that comes from the issuer itself.

    Raises:
        SvidRefusedError: it is no WIT-SVID.
    """
    header, payload = compact.split(token)
    _check_header(header)
    compact.date(payload, "nbf")
    return _svid(token, compact.subject(payload), payload)


def with_key(svid: WitSvid, key: SigningKey | str) -> WitSvid:
    """The SVID together with its private key, which may be the text of a JWK (Workload API, section 7.1).

    Raises:
        InvalidArgumentError: not a private key, or another one's.
    """
    private = witkey.parse(key) if isinstance(key, str) else key
    if to_pkix(private.public_key()) != svid.public_key:
        raise InvalidArgumentError("private key does not belong to the key in cnf")
    return replace(svid, key=private)


def _check_header(header: Mapping[str, object]) -> str:
    if header.get("typ") != TYPE:
        raise SvidRefusedError(Reason.NOT_AN_SVID, f"token header type not equal to {TYPE}")
    if "crit" in header:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token header has critical parameters, which no WIT-SVID has")
    return compact.key_id(header)


def _authority(bundles: Mapping[TrustDomain, Bundle], trust_domain: TrustDomain, key_id: str) -> bytes:
    bundle = bundles.get(trust_domain)
    if bundle is None or not bundle.wit_authorities:
        raise SvidRefusedError(
            Reason.UNKNOWN_TRUST_DOMAIN, f'no WIT authorities found for trust domain "{trust_domain}"'
        )
    for authority in bundle.wit_authorities:
        if authority.key_id == key_id:
            return authority.public_key
    named = compact.quoted(key_id)
    raise SvidRefusedError(Reason.UNKNOWN_KEY, f'WIT authority {named} not found in trust domain "{trust_domain}"')


def _svid(token: str, spiffe_id: SpiffeId, payload: Mapping[str, object]) -> WitSvid:
    if "aud" in payload:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token has an aud claim, which no WIT-SVID has")
    expires_at = int(compact.expiry(payload))
    members = _confirmation(payload)
    return WitSvid(
        spiffe_id=spiffe_id,
        expires_at=expires_at,
        public_key=_public_key(members),
        algorithm=str(members["alg"]),
        claims=MappingProxyType(payload),
        token=token,
    )


def _confirmation(payload: Mapping[str, object]) -> Mapping[str, object]:
    """The JWK in `cnf`, its algorithm one of the nine (section 3.2)."""
    if "cnf" not in payload:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token missing cnf claim")
    confirmation = _object(payload["cnf"], "cnf claim")
    members = _object(confirmation.get("jwk"), "cnf.jwk")
    if any(name in confirmation for name in _OTHER_CONFIRMATIONS):
        raise SvidRefusedError(Reason.NOT_AN_SVID, "cnf claim names more than one key")
    if members.get("alg") not in jws.ALGORITHMS:
        named = members.get("alg")
        shown = compact.quoted(named if isinstance(named, str) else "")
        raise SvidRefusedError(Reason.UNSUPPORTED_ALGORITHM, f"cnf.jwk has an unexpected algorithm {shown}")
    return members


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise SvidRefusedError(Reason.NOT_AN_SVID, f"{what} is not an object")
    return cast("Mapping[str, object]", value)


def _public_key(members: Mapping[str, object]) -> bytes:
    try:
        key = jwk.parse(members)
    except InvalidArgumentError as error:
        raise SvidRefusedError(Reason.NOT_AN_SVID, f"cnf.jwk is no public key of a workload: {error.message}") from None
    if not witkey.fits(key, str(members["alg"])):
        raise SvidRefusedError(Reason.NOT_AN_SVID, "cnf.jwk is not a key for its algorithm")
    return to_pkix(key)
