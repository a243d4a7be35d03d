"""Validation of JWT-SVIDs (JWT-SVID sections 2 to 4 and 6.2). Signatures are checked in `assay.svid.jws`.

Decisions where the standard leaves a choice: a token without `kid` is refused, as all SPIFFE validators do; header
parameters that are not known are passed over, `crit` is refused; an `iat` in the future is refused as they do it. Each
part of a token has one spelling: base64url without padding whose last bits are zero (RFC 4648, section 3.5).
"""

import binascii
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import cast

from assay.bundle import Bundle
from assay.bundle.strictjson import parse_object
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import jws
from assay.svid.jws import ALGORITHMS
from assay.svid.jwtsvid import JwtSvid
from assay.svid.refusal import Reason, SvidRefusedError

__all__ = ["ALGORITHMS", "LEEWAY", "MAX_DATE", "TYPES", "accepted_audiences", "parse", "verify"]

TYPES = ("JWT", "JOSE")
MAX_DATE = 2**53
"""Seconds; numbers of JSON are exact up to here."""
LEEWAY = 60
"""Seconds by which clocks may differ; go-jose's, which SPIRE and go-spiffe apply."""

_PARTS = 3
# Headers that are kept, and the length of one that is.
_HEADERS, _SHORT = 64, 512
# Characters of what a token says that are repeated in a refusal, which ends up in logs.
_SHOWN = 1000
# From the alphabet of URLs to the other, whose own characters are none here.
_STANDARD = bytes.maketrans(b"-_+/=", b"+/???")


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
    header, payload = _split(token)
    key_id = _check_header(header)
    spiffe_id = _subject(payload)
    try:
        _check_signature(token, header, _authority(bundles, spiffe_id.trust_domain, key_id))
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
    header, payload = _split(token)
    _check_header(header)
    return _svid(token, _subject(payload), payload)


def _split(token: object) -> tuple[Mapping[str, object], Mapping[str, object]]:
    # Whatever a signature says, programs hand over what a look into headers gave them: None when there was nothing.
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) != _PARTS:
        reason = Reason.MALFORMED if token else Reason.NO_CREDENTIAL
        raise SvidRefusedError(reason, "unable to parse JWT token: not three parts")
    head = parts[0]
    # The payload comes after the algorithm (section 4): one we do not know makes the rest none of our business.
    header = _known_header(head) if len(head) <= _SHORT else _header(head)
    return header, _object(parts[1], "JWT payload")


def _header(part: str) -> Mapping[str, object]:
    header = _object(part, "JWT header")
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        named = _quoted(algorithm if isinstance(algorithm, str) else "")
        reason = Reason.UNSUPPORTED_ALGORITHM
        raise SvidRefusedError(reason, f"unable to parse JWT token: unexpected signature algorithm {named}")
    return MappingProxyType(header)


_known_header = lru_cache(maxsize=_HEADERS)(_header)
"""All tokens of one key have one header."""


def _object(part: str, what: str) -> Mapping[str, object]:
    try:
        return parse_object(_decode(part), what)
    except InvalidArgumentError as error:
        raise SvidRefusedError(Reason.MALFORMED, error.message) from None


def _decode(part: str) -> bytes:
    try:
        standard = part.encode("ascii").translate(_STANDARD) + b"=" * (-len(part) % 4)
        data = binascii.a2b_base64(standard)
    except (binascii.Error, UnicodeEncodeError):
        standard, data = b"?", b""
    # The decoder passes over what it does not know; what it made of it must be what was written.
    if binascii.b2a_base64(data, newline=False) != standard:
        raise SvidRefusedError(Reason.MALFORMED, "unable to parse JWT token: not base64url")
    return data


def _check_header(header: Mapping[str, object]) -> str:
    if header.get("typ", "JWT") not in TYPES:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token header type not equal to either JWT or JOSE")
    if "crit" in header:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token header has critical parameters, which no JWT-SVID has")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise SvidRefusedError(Reason.UNKNOWN_KEY, "token header missing key id", hint="its issuer has to name the key")
    return key_id


def _subject(payload: Mapping[str, object]) -> SpiffeId:
    subject = payload.get("sub")
    if not isinstance(subject, str) or not subject:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token missing subject claim")
    try:
        spiffe_id = SpiffeId.parse(subject)
    except InvalidArgumentError as error:
        message = f"token has an invalid subject claim: {error.message}"
        raise SvidRefusedError(Reason.NOT_AN_SVID, message, hint=error.hint) from None
    if not spiffe_id.path:
        message = "token has an invalid subject claim: no workload's, it has no path"
        raise SvidRefusedError(Reason.NOT_AN_SVID, message, spiffe_id=spiffe_id)
    return spiffe_id


def _authority(bundles: Mapping[TrustDomain, Bundle], trust_domain: TrustDomain, key_id: str) -> bytes:
    bundle = bundles.get(trust_domain)
    if bundle is None or not bundle.jwt_authorities:
        raise SvidRefusedError(Reason.UNKNOWN_TRUST_DOMAIN, f'no keys found for trust domain "{trust_domain}"')
    for authority in bundle.jwt_authorities:
        if authority.key_id == key_id:
            return authority.public_key
    raise SvidRefusedError(
        Reason.UNKNOWN_KEY, f'public key {_quoted(key_id)} not found in trust domain "{trust_domain}"'
    )


def _check_signature(token: str, header: Mapping[str, object], public_key: bytes) -> None:
    signed, _, signature = token.rpartition(".")
    if not jws.holds(str(header["alg"]), public_key, _decode(signature), signed.encode()):
        raise SvidRefusedError(Reason.BAD_SIGNATURE, "token signature does not verify with the key it names")


def _svid(token: str, spiffe_id: SpiffeId, payload: Mapping[str, object]) -> JwtSvid:
    return JwtSvid(
        spiffe_id=spiffe_id,
        audience=_audience(payload),
        expires_at=int(_expiry(payload)),
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


def _expiry(payload: Mapping[str, object]) -> float:
    expiry = _date(payload, "exp")
    if expiry is None:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token missing exp claim")
    return expiry


def _date(payload: Mapping[str, object], name: str) -> float | None:
    value = payload.get(name)
    if value is None:
        return None
    # Neither infinity nor what is not a number is within.
    if not isinstance(value, int | float) or isinstance(value, bool) or not -MAX_DATE <= value <= MAX_DATE:
        raise SvidRefusedError(Reason.MALFORMED, f"token has an invalid {name} claim: not a date in seconds")
    return value


def _check_time(payload: Mapping[str, object], now: float) -> None:
    if now > _expiry(payload) + LEEWAY:
        raise SvidRefusedError(Reason.EXPIRED, "token has expired")
    not_before = _date(payload, "nbf")
    if not_before is not None and now + LEEWAY < not_before:
        raise SvidRefusedError(Reason.NOT_YET_VALID, "token not valid yet")
    issued_at = _date(payload, "iat")
    if issued_at is not None and now + LEEWAY < issued_at:
        raise SvidRefusedError(Reason.NOT_YET_VALID, "token issued in the future")


def _check_audience(svid: JwtSvid, accepted: tuple[str, ...]) -> None:
    if not set(accepted) & set(svid.audience):
        message = f"expected audience in {_listed(accepted)} (audience={_listed(svid.audience)})"
        raise SvidRefusedError(Reason.WRONG_AUDIENCE, message)


def _listed(values: tuple[str, ...]) -> str:
    return "[" + _cut(" ".join(map(_quoted, values))) + "]"


def _quoted(value: str) -> str:
    """On one line, whatever a token says."""
    return json.dumps(_cut(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
