"""Validation of JWT-SVIDs (JWT-SVID sections 2 to 4 and 6.2). Signatures are checked by joserfc.

Decisions where the standard leaves a choice: a token without `kid` is refused, as all SPIFFE validators do; header
parameters that are not known are passed over, `crit` is refused; an `iat` in the future is refused as they do it.
"""

import base64
import binascii
import json
import math
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import cast

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from assay.bundle import Bundle
from assay.bundle.strictjson import parse_object
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid.jwtsvid import JwtSvid

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
TYPES = frozenset({"JWT", "JOSE"})
LEEWAY = 60
"""Seconds by which clocks may differ; go-jose's, which SPIRE and go-spiffe apply."""

_PARTS = 3
# Parsed keys that are kept: a trust domain signs with one or two.
_KEYS = 64


class _Registry(jws.JWSRegistry):
    """Without joserfc's small limits: how long a token may be is the transport's affair, and it is in memory by now."""

    max_header_length = max_payload_length = max_signature_length = sys.maxsize


_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


def verify(token: str, bundles: Mapping[TrustDomain, Bundle], audience: str, now: datetime) -> JwtSvid:
    """The JWT-SVID that a token is, for the validator that answers to `audience`.

    Raises:
        InvalidArgumentError: it is not one, is expired, is for somebody else, or no JWT authority of its own trust
            domain signed it.
    """
    if not audience:
        raise InvalidArgumentError("audience must be specified")
    header, payload = _split(token)
    key_id = _check_header(header)
    spiffe_id = _subject(payload)
    _check_signature(token, header, _authority(bundles, spiffe_id.trust_domain, key_id))
    svid = _svid(token, spiffe_id, payload)
    _check_time(payload, now.timestamp())
    if audience not in svid.audience:
        raise InvalidArgumentError(f"expected audience in {_listed((audience,))} (audience={_listed(svid.audience)})")
    return svid


def parse(token: str) -> JwtSvid:
    """What a token says, without looking at its signature or dates: for a token that comes from the issuer itself.

    Raises:
        InvalidArgumentError: it is no JWT-SVID.
    """
    header, payload = _split(token)
    _check_header(header)
    return _svid(token, _subject(payload), payload)


def _split(token: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise InvalidArgumentError("unable to parse JWT token: not three parts")
    header = parse_object(_decode(parts[0]), "JWT header")
    # Before anything else is processed (section 4): an algorithm we do not know makes the rest none of our business.
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        named = _quoted(algorithm if isinstance(algorithm, str) else "")
        raise InvalidArgumentError(f"unable to parse JWT token: unexpected signature algorithm {named}")
    return header, parse_object(_decode(parts[1]), "JWT payload")


def _decode(part: str) -> bytes:
    try:
        if "=" in part or "+" in part or "/" in part:
            raise InvalidArgumentError("unable to parse JWT token: not base64url")
        return base64.b64decode(part.encode("ascii") + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise InvalidArgumentError("unable to parse JWT token: not base64url") from None


def _check_header(header: Mapping[str, object]) -> str:
    if "typ" in header and header["typ"] not in TYPES:
        raise InvalidArgumentError("token header type not equal to either JWT or JOSE")
    if "crit" in header:
        raise InvalidArgumentError("token header has critical parameters, which no JWT-SVID has")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise InvalidArgumentError("token header missing key id")
    return key_id


def _subject(payload: Mapping[str, object]) -> SpiffeId:
    subject = payload.get("sub")
    if not isinstance(subject, str) or not subject:
        raise InvalidArgumentError("token missing subject claim")
    try:
        spiffe_id = SpiffeId.parse(subject)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"token has an invalid subject claim: {error.message}") from None
    if not spiffe_id.path:
        raise InvalidArgumentError("token has an invalid subject claim: no workload's, it has no path")
    return spiffe_id


def _authority(bundles: Mapping[TrustDomain, Bundle], trust_domain: TrustDomain, key_id: str) -> bytes:
    bundle = bundles.get(trust_domain)
    if bundle is None or not bundle.jwt_authorities:
        raise InvalidArgumentError(f'no keys found for trust domain "{trust_domain}"')
    for authority in bundle.jwt_authorities:
        if authority.key_id == key_id:
            return authority.public_key
    raise InvalidArgumentError(f'public key "{key_id}" not found in trust domain "{trust_domain}"')


def _check_signature(token: str, header: Mapping[str, object], public_key: bytes) -> None:
    try:
        key = _key(ECKey if str(header["alg"]).startswith("ES") else RSAKey, public_key)
        jws.deserialize_compact(token, key, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError):
        # The library's reason may quote the token.
        raise InvalidArgumentError("token signature does not verify with the key it names") from None


@lru_cache(maxsize=_KEYS)
def _key(kind: type[ECKey | RSAKey], public_key: bytes) -> ECKey | RSAKey:
    return kind.import_key(public_key)


def _svid(token: str, spiffe_id: SpiffeId, payload: Mapping[str, object]) -> JwtSvid:
    return JwtSvid(
        spiffe_id=spiffe_id,
        audience=_audience(payload),
        expires_at=int(_expiry(payload)),
        claims=MappingProxyType(dict(payload)),
        token=token,
    )


def _audience(payload: Mapping[str, object]) -> tuple[str, ...]:
    value = payload.get("aud")
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values:
        raise InvalidArgumentError("token missing audience claim")
    if not all(isinstance(one, str) for one in cast("list[object]", values)):
        raise InvalidArgumentError("token has an invalid audience claim")
    return tuple(cast("list[str]", values))


def _expiry(payload: Mapping[str, object]) -> float:
    expiry = _date(payload, "exp")
    if expiry is None:
        raise InvalidArgumentError("token missing exp claim")
    return expiry


def _date(payload: Mapping[str, object], name: str) -> float | None:
    value = payload.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidArgumentError(f"token has an invalid {name} claim: not a date in seconds")
    return value


def _check_time(payload: Mapping[str, object], now: float) -> None:
    if now > _expiry(payload) + LEEWAY:
        raise InvalidArgumentError("token has expired")
    not_before = _date(payload, "nbf")
    if not_before is not None and now + LEEWAY < not_before:
        raise InvalidArgumentError("token not valid yet")
    issued_at = _date(payload, "iat")
    if issued_at is not None and now + LEEWAY < issued_at:
        raise InvalidArgumentError("token issued in the future")


def _listed(values: tuple[str, ...]) -> str:
    return "[" + " ".join(map(_quoted, values)) + "]"


def _quoted(value: str) -> str:
    """On one line, whatever a token says."""
    return json.dumps(value)
