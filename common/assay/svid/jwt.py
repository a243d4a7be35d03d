"""Validation of JWT-SVIDs (JWT-SVID sections 2 to 4 and 6.2). Signatures are checked in `assay.svid.jws`.

Decisions where the standard leaves a choice: a token without `kid` is refused, as all SPIFFE validators do; header
parameters that are not known are passed over, `crit` is refused; an `iat` in the future is refused as they do it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import cast

from assay.bundle import Bundle
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import compact
from assay.svid.compact import LEEWAY, MAX_DATE
from assay.svid.jws import ALGORITHMS
from assay.svid.jwtsvid import JwtSvid
from assay.svid.refusal import Reason, SvidRefusedError

__all__ = ["ALGORITHMS", "LEEWAY", "MAX_DATE", "TYPES", "accepted_audiences", "parse", "verify"]

TYPES = ("JWT", "JOSE")


def verify(
    token: str, bundles: Mapping[TrustDomain, Bundle], audience: str | Collection[str], now: datetime
) -> JwtSvid:
    """The JWT-SVID that a token is, for the validator that answers to `audience`, one name or several.

    Raises:
        SvidRefusedError: it is not one, is expired, is for somebody else, or no JWT authority of its own trust domain
            signed it.
        InvalidArgumentError: no audience is given.
    """
    audiences = accepted_audiences(audience)
    header, payload = compact.split(token)
    key_id = _check_header(header)
    spiffe_id = compact.subject(payload)
    try:
        compact.check_signature(token, header, _authority(bundles, spiffe_id.trust_domain, key_id))
        svid = _svid(token, spiffe_id, payload)
        _check_time(payload, now.timestamp())
        _check_audience(svid, audiences)
    except SvidRefusedError as refusal:
        refusal.spiffe_id = spiffe_id
        raise
    return svid


def accepted_audiences(audience: str | Collection[str]) -> tuple[str, ...]:
    """What a validator answers to, as a list.

    Raises:
        InvalidArgumentError: it is empty, or one of it is: such a validator would be fooled or of no use.
    """
    audiences = (audience,) if isinstance(audience, str) else tuple(audience)
    if not audiences or not all(audiences):
        raise InvalidArgumentError("audience must be specified")
    return audiences


def parse(token: str) -> JwtSvid:
    """What a token says, without looking at its signature or dates: for a token that comes from the issuer itself.

    Raises:
        SvidRefusedError: it is no JWT-SVID.
    """
    header, payload = compact.split(token)
    _check_header(header)
    return _svid(token, compact.subject(payload), payload)


def _check_header(header: Mapping[str, object]) -> str:
    if header.get("typ", "JWT") not in TYPES:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token header type not equal to either JWT or JOSE")
    if "crit" in header:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token header has critical parameters, which no JWT-SVID has")
    return compact.key_id(header)


def _authority(bundles: Mapping[TrustDomain, Bundle], trust_domain: TrustDomain, key_id: str) -> bytes:
    bundle = bundles.get(trust_domain)
    if bundle is None or not bundle.jwt_authorities:
        raise SvidRefusedError(Reason.UNKNOWN_TRUST_DOMAIN, f'no keys found for trust domain "{trust_domain}"')
    for authority in bundle.jwt_authorities:
        if authority.key_id == key_id:
            return authority.public_key
    raise SvidRefusedError(
        Reason.UNKNOWN_KEY, f'public key {compact.quoted(key_id)} not found in trust domain "{trust_domain}"'
    )


def _svid(token: str, spiffe_id: SpiffeId, payload: Mapping[str, object]) -> JwtSvid:
    return JwtSvid(
        spiffe_id=spiffe_id,
        audience=_audience(payload),
        expires_at=int(compact.expiry(payload)),
        claims=MappingProxyType(payload),
        token=token,
    )


def _audience(payload: Mapping[str, object]) -> tuple[str, ...]:
    value = payload.get("aud")
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values:
        raise SvidRefusedError(Reason.NO_AUDIENCE, "token missing audience claim")
    if not all(isinstance(one, str) for one in cast("list[object]", values)):
        raise SvidRefusedError(Reason.MALFORMED, "token has an invalid audience claim")
    return tuple(cast("list[str]", values))


def _check_time(payload: Mapping[str, object], now: float) -> None:
    compact.check_time(payload, now)
    issued_at = compact.date(payload, "iat")
    if issued_at is not None and now + LEEWAY < issued_at:
        raise SvidRefusedError(Reason.NOT_YET_VALID, "token issued in the future")


def _check_audience(svid: JwtSvid, accepted: tuple[str, ...]) -> None:
    if not set(accepted) & set(svid.audience):
        message = f"expected audience in {_listed(accepted)} (audience={_listed(svid.audience)})"
        raise SvidRefusedError(Reason.WRONG_AUDIENCE, message)


def _listed(values: tuple[str, ...]) -> str:
    return "[" + compact.cut(" ".join(map(compact.quoted, values))) + "]"
