"""Public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037)."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.crypto.keys import PublicKey, accepted
from assay.errors import InvalidArgumentError

_CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
# The members that a thumbprint is of, in the order that it wants them in (RFC 7638 sections 3.2 and 3.3).
_NAMING = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}
_CURVE_NAMES = {curve.name: name for name, curve in _CURVES.items()}


def emit(key: PublicKey) -> dict[str, str]:
    """The members that describe the key itself."""
    match key:
        case ec.EllipticCurvePublicKey():
            size = (key.curve.key_size + 7) // 8
            point = key.public_numbers()
            x, y = encode(point.x.to_bytes(size, "big")), encode(point.y.to_bytes(size, "big"))
            return {"kty": "EC", "crv": _CURVE_NAMES[key.curve.name], "x": x, "y": y}
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return {"kty": "RSA", "n": encode_int(numbers.n), "e": encode_int(numbers.e)}
        case _:
            return {"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw))}


def parse(members: Mapping[str, object]) -> PublicKey:
    """The EC or RSA public key that a JWK describes; members that describe something else are not looked at.

    Raises:
        InvalidArgumentError: of another type or curve, private, incomplete, or no such key.
    """
    if "d" in members:
        raise InvalidArgumentError("a private key")
    try:
        match members.get("kty"):
            case "EC":
                return _parse_ec(members)
            case "RSA":
                numbers = rsa.RSAPublicNumbers(integer(members, "e"), integer(members, "n"))
                return accepted(numbers.public_key())
            case other:
                raise InvalidArgumentError(f"unknown key type {other!r}")
    except ValueError:
        raise InvalidArgumentError("members are not those of a public key") from None


def _parse_ec(members: Mapping[str, object]) -> PublicKey:
    curve = _CURVES.get(str(members.get("crv")))
    if curve is None:
        raise InvalidArgumentError(f"unknown curve {members.get('crv')!r}")
    numbers = ec.EllipticCurvePublicNumbers(integer(members, "x"), integer(members, "y"), curve)
    return numbers.public_key()


def integer(members: Mapping[str, object], name: str) -> int:
    """The number of that member; raises InvalidArgumentError where there is none."""
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidArgumentError(f'member "{name}" is missing')
    return int.from_bytes(_decode(value), "big")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise InvalidArgumentError("a member is not base64url") from None


def thumbprint(members: Mapping[str, object]) -> str:
    """The name of an EC or RSA key by the members that describe it (RFC 7638 section 3)."""
    named = {name: members[name] for name in _NAMING[str(members["kty"])]}
    text = json.dumps(named, separators=(",", ":"))
    return encode(hashlib.sha256(text.encode()).digest())


def thumbprint_of(key: PublicKey) -> str:
    """The same name, of a key that was parsed: however its members were written, it has one."""
    return thumbprint(emit(key))


def encode(data: bytes) -> str:
    """As base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_int(value: int) -> str:
    """A number, big-endian and as short as it can be."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))
