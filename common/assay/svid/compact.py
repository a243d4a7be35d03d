"""Tokens as both kinds of SVID have them: a compact JWS whose header names a key, and claims (RFC 7515, RFC 7519).

Each part of a token has one spelling: base64url without padding whose last bits are zero (RFC 4648, section 3.5). What
a token says is refused in the words of whoever reads it, and never at length: a refusal ends up in logs.
"""

import binascii
import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from assay.bundle import jwk
from assay.bundle.strictjson import parse_object
from assay.errors import InvalidArgumentError
from assay.keymanager.base import SigningKey
from assay.spiffeid import SpiffeId
from assay.svid import jws
from assay.svid.jws import ALGORITHMS
from assay.svid.refusal import Reason, SvidRefusedError

MAX_DATE = 2**53
"""Seconds; numbers of JSON are exact up to here."""
LEEWAY = 60
"""Seconds by which clocks may differ; go-jose's, which SPIRE and go-spiffe apply."""

_PARTS = 3
# Headers that are kept, and the length of one that is.
_HEADERS, _SHORT = 64, 512
# Characters of what a token says that are repeated in a refusal.
_SHOWN = 1000
# From the alphabet of URLs to the other, whose own characters are none here.
_STANDARD = bytes.maketrans(b"-_+/=", b"+/???")


def split(token: object) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Header and payload, not verified.

    Raises:
        SvidRefusedError: not a compact JWS, or its algorithm is none of ALGORITHMS.
    """
    # Whatever a signature says, programs hand over what a look into headers gave them: None when there was nothing.
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) != _PARTS:
        reason = Reason.MALFORMED if token else Reason.NO_CREDENTIAL
        raise SvidRefusedError(reason, "unable to parse JWT token: not three parts")
    # The payload comes after the algorithm (section 4): one we do not know makes the rest none of our business.
    header = header_of(parts[0])
    return header, _object(parts[1], "JWT payload")


def header_of(part: str) -> Mapping[str, object]:
    """The header that a token's first part is; raises as `split`."""
    return _known_header(part) if len(part) <= _SHORT else _header(part)


def _header(part: str) -> Mapping[str, object]:
    header = _object(part, "JWT header")
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        named = quoted(algorithm if isinstance(algorithm, str) else "")
        reason = Reason.UNSUPPORTED_ALGORITHM
        raise SvidRefusedError(reason, f"unable to parse JWT token: unexpected signature algorithm {named}")
    return MappingProxyType(header)


_known_header = lru_cache(maxsize=_HEADERS)(_header)
"""All tokens of one key have one header."""


def _object(part: str, what: str) -> Mapping[str, object]:
    try:
        return parse_object(decode(part), what)
    except InvalidArgumentError as error:
        raise SvidRefusedError(Reason.MALFORMED, error.message) from None


def decode(part: str) -> bytes:
    """One part as bytes; raises SvidRefusedError."""
    try:
        standard = part.encode("ascii").translate(_STANDARD) + b"=" * (-len(part) % 4)
        data = binascii.a2b_base64(standard)
    except (binascii.Error, UnicodeEncodeError):
        standard, data = b"?", b""
    # The decoder passes over what it does not know; what it made of it must be what was written.
    if binascii.b2a_base64(data, newline=False) != standard:
        raise SvidRefusedError(Reason.MALFORMED, "unable to parse JWT token: not base64url")
    return data


def sign(header: Mapping[str, object], payload: Mapping[str, object], key: SigningKey) -> str:
    """A token by this key, with the algorithm that its header names."""
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, payload))
    signed = ".".join(map(jwk.encode, parts))
    return f"{signed}.{jwk.encode(jws.sign(str(header['alg']), key, signed.encode()))}"


def key_id(header: Mapping[str, object]) -> str:
    """The `kid`; raises SvidRefusedError where none is named."""
    named = header.get("kid")
    if not isinstance(named, str) or not named:
        raise SvidRefusedError(Reason.UNKNOWN_KEY, "token header missing key id", hint="its issuer has to name the key")
    return named


def subject(payload: Mapping[str, object]) -> SpiffeId:
    """The workload that `sub` names.

    Raises:
        SvidRefusedError: nobody, or no workload.
    """
    named = payload.get("sub")
    if not isinstance(named, str) or not named:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token missing subject claim")
    try:
        spiffe_id = SpiffeId.parse(named)
    except InvalidArgumentError as error:
        message = f"token has an invalid subject claim: {error.message}"
        raise SvidRefusedError(Reason.NOT_AN_SVID, message, hint=error.hint) from None
    if not spiffe_id.path:
        message = "token has an invalid subject claim: no workload's, it has no path"
        raise SvidRefusedError(Reason.NOT_AN_SVID, message, spiffe_id=spiffe_id)
    return spiffe_id


def check_signature(token: str, header: Mapping[str, object], public_key: bytes) -> None:
    """Refuse (SvidRefusedError) a token that this key (PKIX DER) did not sign by the algorithm it names."""
    signed, _, signature = token.rpartition(".")
    if not jws.holds(str(header["alg"]), public_key, decode(signature), signed.encode()):
        raise SvidRefusedError(Reason.BAD_SIGNATURE, "token signature does not verify with the key it names")


def expiry(payload: Mapping[str, object]) -> float:
    """`exp`; raises SvidRefusedError where it is missing or no date."""
    end = date(payload, "exp")
    if end is None:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "token missing exp claim")
    return end


def date(payload: Mapping[str, object], name: str) -> float | None:
    """That claim in Unix seconds, None if it is not there; raises SvidRefusedError where it is no date."""
    value = payload.get(name)
    if value is None:
        return None
    # Neither infinity nor what is not a number is within.
    if not isinstance(value, int | float) or isinstance(value, bool) or not -MAX_DATE <= value <= MAX_DATE:
        raise SvidRefusedError(Reason.MALFORMED, f"token has an invalid {name} claim: not a date in seconds")
    return value


def check_time(payload: Mapping[str, object], now: float) -> None:
    """Refuse (SvidRefusedError) a token that is expired or not valid yet at `now`, Unix seconds."""
    if now > expiry(payload) + LEEWAY:
        raise SvidRefusedError(Reason.EXPIRED, "token has expired")
    not_before = date(payload, "nbf")
    if not_before is not None and now + LEEWAY < not_before:
        raise SvidRefusedError(Reason.NOT_YET_VALID, "token not valid yet")


def quoted(value: str) -> str:
    """On one line, whatever a token says."""
    return json.dumps(cut(value))


def cut(text: str) -> str:
    """As much of it as a refusal repeats."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
