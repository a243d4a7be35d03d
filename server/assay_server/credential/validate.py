"""The last look at everything that was signed, before it leaves: reads the result and knows nothing of its template.

What fails here is our own mistake or a key manager's, so these are internal errors and not refusals.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import TypeAlias, TypeVar, cast

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from assay.bundle.strictjson import parse_object
from assay.crypto import der
from assay.crypto.certificate import extensions_of, load
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain

_OTHER_THAN_LEAFS = attrgetter("content_commitment", "data_encipherment", "key_cert_sign", "crl_sign")
_OTHER_THAN_CAS = attrgetter(
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"
)


# JWT-SVID and WIT-SVID section 2; of their algorithms those that an authority's key can have.
_ALGORITHMS = ("ES256", "ES384", "ES512", "RS256")
_TYPES = {"JWT": ("JWT", "JOSE"), "WIT": ("wit+jwt",)}
_COMPACT = re.compile(r"([\w-]+)\.([\w-]+)\.[\w-]+", re.ASCII)
_HEADERS = 8

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)
Extensions: TypeAlias = Mapping[type[x509.ExtensionType], x509.Extension[x509.ExtensionType]]


# Members of a Certificate and of its TBSCertificate.
_BODY = 0
_SUBJECT = 5
_EMPTY = der.sequence()


class InvalidCredentialError(Exception):
    """A credential was signed that must not leave."""


def check_leaf(
    leaf: bytes,
    *,
    spiffe_id: SpiffeId,
    dns_names: Sequence[str],
    public_key: bytes,
    signer: x509.Certificate,
    now: datetime,
) -> x509.Certificate:
    """The parsed X.509-SVID, once it is one, for this ID and public key (PKIX) and under this signer.

    Raises:
        InvalidCredentialError: it is not.
    """
    certificate, extensions = _parse(leaf)
    _check_constraints(extensions, ca=False)
    usage = _critical_usage(extensions)
    _check_usage(needed=usage.digital_signature, barred=_OTHER_THAN_LEAFS(usage))
    usages = list(_extension(extensions, x509.ExtendedKeyUsage).value)
    _require(
        ExtendedKeyUsageOID.SERVER_AUTH in usages and ExtendedKeyUsageOID.CLIENT_AUTH in usages,
        "missing serverAuth or clientAuth extended key usage",
    )
    _check_body(leaf, extensions, public_key)
    _check_names(extensions, str(spiffe_id), dns_names)
    _require(bool(spiffe_id.path), "SPIFFE ID has no path")
    _check_time(certificate, now)
    _require(certificate.not_valid_after_utc <= signer.not_valid_after_utc, "outlives its signer")
    return certificate


def check_ca(root: bytes, *, trust_domain: TrustDomain, public_key: bytes, now: datetime) -> x509.Certificate:
    """The parsed CA certificate, once it is a root for this trust domain with this public key (PKIX).

    Raises:
        InvalidCredentialError: it is not.
    """
    certificate, extensions = _parse(root)
    _check_constraints(extensions, ca=True)
    usage = _critical_usage(extensions)
    _check_usage(needed=usage.key_cert_sign, barred=_OTHER_THAN_CAS(usage))
    _check_body(root, extensions, public_key)
    _check_names(extensions, str(trust_domain.id), ())
    _check_time(certificate, now)
    try:
        certificate.verify_directly_issued_by(certificate)
    except Exception as error:
        raise InvalidCredentialError(f"not signed by its own key: {error}") from error
    return certificate


def check_jwt(token: str, *, spiffe_id: SpiffeId, audience: Sequence[str], now: datetime) -> None:
    """Pass a JWT-SVID for this ID and audience that is not expired.

    Raises:
        InvalidCredentialError: it is not one.
    """
    claims = _claims(token, "JWT", spiffe_id, now)
    _require(claims.get("aud") == list(audience), 'invalid JWT-SVID: unexpected "aud" claim')
    _require(bool(audience) and all(audience), 'invalid JWT-SVID: empty "aud" claim')


def check_wit(token: str, *, spiffe_id: SpiffeId, confirmation: Mapping[str, str], now: datetime) -> None:
    """Pass a WIT-SVID for this ID and the key of this JWK that is not expired.

    Raises:
        InvalidCredentialError: it is not one.
    """
    claims = _claims(token, "WIT", spiffe_id, now)
    _require(claims.get("cnf") == {"jwk": confirmation}, 'invalid WIT-SVID: unexpected "cnf" claim')
    _require("d" not in confirmation and "alg" in confirmation, 'invalid WIT-SVID: "cnf" claim is no public key')
    _require("aud" not in claims, 'invalid WIT-SVID: "aud" claim is not for it')


def _claims(token: str, kind: str, spiffe_id: SpiffeId, now: datetime) -> Mapping[str, object]:
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise InvalidCredentialError(f"invalid {kind}-SVID: not a JWS in compact form")
    _check_header(parts[1], kind)
    claims = _members(parts[2], "payload", kind)
    subject = claims.get("sub")
    _require(bool(spiffe_id.path) and subject == str(spiffe_id), f'invalid {kind}-SVID: unexpected "sub" claim')
    expires_at = claims.get("exp")
    if type(expires_at) is not int:
        raise InvalidCredentialError(f'invalid {kind}-SVID: "exp" claim is no time')
    _require(expires_at > now.timestamp(), "already expired")
    return claims


@lru_cache(maxsize=_HEADERS)
def _check_header(encoded: str, kind: str) -> None:
    """What passes is remembered, since all tokens of one key have the same."""
    header = _members(encoded, "header", kind)
    _require(set(header) == {"alg", "kid", "typ"}, f"invalid {kind}-SVID: header parameters missing or not wanted")
    _require(header["alg"] in _ALGORITHMS, f"invalid {kind}-SVID: unexpected algorithm")
    _require(header["typ"] in _TYPES[kind], f"invalid {kind}-SVID: unexpected type")
    _require(isinstance(header["kid"], str) and header["kid"] != "", f"invalid {kind}-SVID: no key ID")


def _members(encoded: str, what: str, kind: str) -> Mapping[str, object]:
    try:
        return parse_object(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)), what)
    except (ValueError, InvalidArgumentError) as error:
        raise InvalidCredentialError(f"invalid {kind}-SVID: {error}") from error


def _parse(data: bytes) -> tuple[x509.Certificate, Extensions]:
    try:
        certificate = load(data)
        # By kind once, since cryptography's look-up goes through all of them; it has seen that none is there twice.
        return certificate, {type(one.value): one for one in extensions_of(certificate)}
    except InvalidArgumentError as error:
        raise InvalidCredentialError(f"certificate does not parse: {error}") from error


def _extension(extensions: Extensions, kind: type[ExtensionT]) -> x509.Extension[ExtensionT]:
    found = extensions.get(kind)
    if found is None:
        raise InvalidCredentialError(f"{kind.__name__} is missing")
    return cast("x509.Extension[ExtensionT]", found)


def _check_constraints(extensions: Extensions, *, ca: bool) -> None:
    constraints = _extension(extensions, x509.BasicConstraints)
    _require(constraints.critical, "basic constraints are not critical")
    _require(constraints.value.ca is ca, "cA constraint must be set" if ca else "cA constraint must not be set")


def _critical_usage(extensions: Extensions) -> x509.KeyUsage:
    usage = _extension(extensions, x509.KeyUsage)
    _require(usage.critical, "key usage is not critical")
    return usage.value


def _check_usage(*, needed: bool, barred: Iterable[bool]) -> None:
    _require(needed, "a key usage is missing")
    _require(not any(barred), "a key usage is set that must not be")


def _check_body(certificate: bytes, extensions: Extensions, public_key: bytes) -> None:
    body = der.contents(der.part(der.contents(certificate), _BODY))
    # The key follows the subject, so that together they are where the subject begins.
    subject = body[der.offset(body, _SUBJECT) :]
    _require(der.part(subject, 1) == public_key, "public key is not the one asked for")
    critical = _extension(extensions, x509.SubjectAlternativeName).critical
    _require(critical or not subject.startswith(_EMPTY), "names are not critical though the subject is empty")


def _check_names(extensions: Extensions, uri: str, dns_names: Sequence[str]) -> None:
    names = _extension(extensions, x509.SubjectAlternativeName).value
    expected = [*((x509.DNSName, name) for name in dns_names), (x509.UniformResourceIdentifier, uri)]
    _require([(type(name), name.value) for name in names] == expected, "names are not the ones asked for")


def _check_time(certificate: x509.Certificate, now: datetime) -> None:
    _require(certificate.not_valid_before_utc <= now, "not valid yet")
    _require(now <= certificate.not_valid_after_utc, "already expired")


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise InvalidCredentialError(complaint)
