"""The workload's key of a WIT-SVID: which algorithms it serves, and its private half as a JWK (RFC 7518, section 6)."""

import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from assay.bundle import jwk
from assay.bundle.strictjson import parse_object
from assay.crypto.keys import PublicKey, accepted
from assay.errors import InvalidArgumentError
from assay.keymanager.base import SigningKey
from assay.svid.jws import ALGORITHMS

_CURVES: Mapping[str, str] = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_BY_CURVE = {curve: algorithm for algorithm, curve in _CURVES.items()}
_FIRST = ("kty", "crv")
# RFC 7518, section 6.3.2, after the exponent.
_RSA_NUMBERS = ("p", "q", "dp", "dq", "qi")


def fits(key: PublicKey, algorithm: str) -> bool:
    """Whether the key is one for that algorithm, one of the nine."""
    if algorithm not in ALGORITHMS:
        return False
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(algorithm) == key.curve.name
    return isinstance(key, rsa.RSAPublicKey) and algorithm not in _CURVES


def algorithm_of(key: SigningKey) -> str:
    """The algorithm a new key is announced with: that of its curve, RS256 for RSA."""
    return _BY_CURVE[key.curve.name] if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"


def public_members(key: PublicKey, algorithm: str) -> dict[str, str]:
    """The JWK that goes into `cnf`; its members stand in go-jose's order, SPIRE's."""
    members = jwk.emit(key)
    first = {name: value for name, value in members.items() if name in _FIRST}
    return {**first, "alg": algorithm, **members}


def emit(key: SigningKey, algorithm: str) -> str:
    """The private key as the text of a JWK. It is a secret."""
    return json.dumps({**public_members(key.public_key(), algorithm), **_private_members(key)}, separators=(",", ":"))


def parse(text: str) -> SigningKey:
    """From the text of a private JWK; members that describe no key are passed over.

    Raises:
        InvalidArgumentError: not JSON, not a private EC or RSA key, or its two halves do not belong together. The
            text never has key material.
    """
    members = parse_object(text, "private key")
    public = jwk.parse({name: value for name, value in members.items() if name != "d"})
    secret = jwk.integer(members, "d")
    try:
        match public:
            case ec.EllipticCurvePublicKey():
                return ec.EllipticCurvePrivateNumbers(secret, public.public_numbers()).private_key()
            case rsa.RSAPublicKey():
                return _rsa(public, secret)
            case _:
                raise InvalidArgumentError("private key is neither EC nor RSA")
    except ValueError:
        raise InvalidArgumentError("private key's members do not belong together") from None


def _rsa(public: rsa.RSAPublicKey, d: int) -> rsa.RSAPrivateKey:
    numbers = public.public_numbers()
    p, q = rsa.rsa_recover_prime_factors(numbers.n, numbers.e, d)
    dp, dq, qi = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    key = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, numbers).private_key()
    accepted(key.public_key())
    return key


def _private_members(key: SigningKey) -> dict[str, str]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        return {"d": jwk.encode(key.private_numbers().private_value.to_bytes(size, "big"))}
    numbers = key.private_numbers()
    values = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    named = dict(zip(_RSA_NUMBERS, values, strict=True))
    return {"d": jwk.encode_int(numbers.d), **{name: jwk.encode_int(value) for name, value in named.items()}}
