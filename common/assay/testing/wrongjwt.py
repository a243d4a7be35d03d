"""Tokens that every validator must refuse, each for one reason only (JWT-SVID; RFC 7515 and 7519)."""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.spiffeid import SpiffeId
from assay.svid.refusal import Reason
from assay.testing.authority import HOUR
from assay.testing.issuer import Issuer, jwt_payload, stranger
from assay.testing.jwtkey import JwtKey, encoded


class WrongJwtSvid(Enum):
    """What is wrong with a token that is right otherwise.

    Attributes:
        reason: what `assay.verify` answers.
        words: what is wrong, in words.
    """

    EXPIRED = (Reason.EXPIRED, "its end was an hour ago")
    NO_EXPIRY = (Reason.NOT_AN_SVID, "it has no exp")
    NOT_YET_VALID = (Reason.NOT_YET_VALID, "its nbf is in an hour")
    WRONG_AUDIENCE = (Reason.WRONG_AUDIENCE, "it is for somebody else")
    NO_AUDIENCE = (Reason.NO_AUDIENCE, "it has no aud")
    NO_SUBJECT = (Reason.NOT_AN_SVID, "it has no sub")
    NOT_A_SPIFFE_ID = (Reason.NOT_AN_SVID, "its sub is the URL of a web page")
    UNSIGNED = (Reason.UNSUPPORTED_ALGORITHM, "its alg is none, and it has no signature")
    NO_SIGNATURE = (Reason.BAD_SIGNATURE, "its signature was cut off")
    HMAC = (
        Reason.UNSUPPORTED_ALGORITHM,
        "its alg is HS256, and the secret is the authority's public key, which everybody has",
    )
    WRONG_ALGORITHM = (Reason.BAD_SIGNATURE, "its alg is ES384, and the authority's key is one for ES256")
    WRONG_KEY = (Reason.BAD_SIGNATURE, "another key signed it under the authority's kid")
    UNKNOWN_KEY = (Reason.UNKNOWN_KEY, "an impostor signed it under a kid that is not in the bundle")
    FOREIGN = (Reason.UNKNOWN_TRUST_DOMAIN, "it is of a trust domain that nobody federates with")
    TAMPERED = (Reason.BAD_SIGNATURE, "its sub was changed after it was signed")
    WRONG_TYPE = (Reason.NOT_AN_SVID, "its typ is at+jwt, which is another kind of token")
    CRITICAL = (Reason.NOT_AN_SVID, "its crit names an extension that nobody knows")
    MALFORMED = (Reason.MALFORMED, "it is no token at all")

    def __init__(self, reason: Reason, words: str) -> None:
        self.reason = reason
        self.words = words


@dataclass(frozen=True, slots=True)
class _Right:
    """The right token, to be made wrong in one thing."""

    issuer: Issuer
    spiffe_id: SpiffeId
    payload: Mapping[str, object]
    now: datetime

    @property
    def key(self) -> JwtKey:
        return self.issuer.jwt_key

    def at(self, seconds: int) -> int:
        """So much later than now, as a claim."""
        return int(self.now.timestamp()) + seconds

    def saying(self, key: JwtKey | None = None, **claims: object) -> str:
        """Signed with these claims, by that key; None leaves a claim out."""
        whole = {**self.payload, **claims}
        return (key or self.key).token({name: value for name, value in whole.items() if value is not None})

    def headed(self, sign: Callable[[str], bytes], **members: object) -> str:
        """With these members in its header and whatever signature."""
        signed = f"{encoded(self.key.header(members))}.{encoded(self.payload)}"
        return f"{signed}.{encoded(sign(signed))}"


def _hmac(right: _Right) -> str:
    pem = right.key.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return right.headed(lambda signed: hmac.digest(pem, signed.encode(), hashlib.sha256), alg="HS256")


def _foreign(right: _Right) -> str:
    other = stranger(right.now)
    return right.saying(other.jwt_key, sub=str(SpiffeId(other.trust_domain, right.spiffe_id.path)))


def _tampered(right: _Right) -> str:
    header, _, signature = right.saying().split(".")
    payload = {**right.payload, "sub": f"{right.spiffe_id}/admin"}
    return f"{header}.{encoded(payload)}.{signature}"


_MAKERS: Mapping[WrongJwtSvid, Callable[[_Right], str]] = {
    WrongJwtSvid.EXPIRED: lambda right: right.saying(iat=right.at(-2 * HOUR), exp=right.at(-HOUR)),
    WrongJwtSvid.NO_EXPIRY: lambda right: right.saying(exp=None),
    WrongJwtSvid.NOT_YET_VALID: lambda right: right.saying(nbf=right.at(HOUR), exp=right.at(2 * HOUR)),
    WrongJwtSvid.WRONG_AUDIENCE: lambda right: right.saying(aud=["somebody-else"]),
    WrongJwtSvid.NO_AUDIENCE: lambda right: right.saying(aud=None),
    WrongJwtSvid.NO_SUBJECT: lambda right: right.saying(sub=None),
    WrongJwtSvid.NOT_A_SPIFFE_ID: lambda right: right.saying(sub=f"https://example.com{right.spiffe_id.path}"),
    WrongJwtSvid.UNSIGNED: lambda right: right.headed(lambda _: b"", alg="none"),
    WrongJwtSvid.NO_SIGNATURE: lambda right: right.headed(lambda _: b""),
    WrongJwtSvid.HMAC: _hmac,
    WrongJwtSvid.WRONG_ALGORITHM: lambda right: right.headed(
        lambda signed: right.key.signature(signed, SHA384()), alg="ES384"
    ),
    WrongJwtSvid.WRONG_KEY: lambda right: right.saying(JwtKey.create(right.key.key_id)),
    WrongJwtSvid.UNKNOWN_KEY: lambda right: right.saying(JwtKey.create()),
    WrongJwtSvid.FOREIGN: _foreign,
    WrongJwtSvid.TAMPERED: _tampered,
    WrongJwtSvid.WRONG_TYPE: lambda right: right.headed(right.key.signature, typ="at+jwt"),
    WrongJwtSvid.CRITICAL: lambda right: right.headed(right.key.signature, crit=["unheard-of"], **{"unheard-of": True}),
    WrongJwtSvid.MALFORMED: lambda _: "not-a-token",
}


def wrong_jwt_svid(
    wrong: WrongJwtSvid, issuer: Issuer, spiffe_id: SpiffeId, audience: Sequence[str], now: datetime, ttl: int
) -> str:
    """A token for that ID and audience with that fault."""
    payload = jwt_payload(spiffe_id, audience, now, ttl)
    return _MAKERS[wrong](_Right(issuer, spiffe_id, payload, now))
