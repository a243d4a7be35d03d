"""The last look at everything that was signed, before it leaves: reads the result and knows nothing of its template.

What fails here is our own mistake or a key manager's, so these are internal errors and not refusals.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from assay.crypto import der
from assay.crypto.certificate import extensions_of, load
from assay.errors import AssayError, InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import jwt

_LEAF_USAGES = {"digital_signature"}
_LEAF_USAGES_ALLOWED = {"digital_signature", "key_encipherment", "key_agreement"}
_CA_USAGES = {"key_cert_sign"}
_CA_USAGES_ALLOWED = {"key_cert_sign", "crl_sign"}
_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign"),
)


ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


# Members of a TBSCertificate.
_SUBJECT, _PUBLIC_KEY = 5, 6


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
    _check_usage(extensions, _LEAF_USAGES, _LEAF_USAGES_ALLOWED)
    usages = _extension(extensions, x509.ExtendedKeyUsage).value
    _require(
        ExtendedKeyUsageOID.SERVER_AUTH in usages and ExtendedKeyUsageOID.CLIENT_AUTH in usages,
        "missing serverAuth or clientAuth extended key usage",
    )
    _check_body(certificate, extensions, public_key)
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
    _check_usage(extensions, _CA_USAGES, _CA_USAGES_ALLOWED)
    _check_body(certificate, extensions, public_key)
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
    try:
        svid = jwt.parse(token)
    except AssayError as error:
        raise InvalidCredentialError(f"invalid JWT-SVID: {error.message}") from error
    _require(svid.spiffe_id == spiffe_id, 'unexpected "sub" claim')
    _require(svid.audience == tuple(audience) and "" not in svid.audience, 'unexpected "aud" claim')
    _require(svid.expires_at > now.timestamp(), "already expired")


def _parse(data: bytes) -> tuple[x509.Certificate, x509.Extensions]:
    try:
        certificate = load(data)
        return certificate, extensions_of(certificate)
    except InvalidArgumentError as error:
        raise InvalidCredentialError(f"certificate does not parse: {error}") from error


def _extension(extensions: x509.Extensions, kind: type[ExtensionT]) -> x509.Extension[ExtensionT]:
    try:
        return extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound as error:
        raise InvalidCredentialError(f"{kind.__name__} is missing") from error


def _check_constraints(extensions: x509.Extensions, *, ca: bool) -> None:
    constraints = _extension(extensions, x509.BasicConstraints)
    _require(constraints.critical, "basic constraints are not critical")
    _require(constraints.value.ca is ca, "cA constraint must be set" if ca else "cA constraint must not be set")


def _check_usage(extensions: x509.Extensions, needed: AbstractSet[str], allowed: AbstractSet[str]) -> None:
    usage = _extension(extensions, x509.KeyUsage)
    present = {name for name in _USAGES if getattr(usage.value, name)}
    _require(usage.critical, "key usage is not critical")
    _require(needed <= present, "a key usage is missing")
    _require(present <= allowed, "a key usage is set that must not be")


def _check_body(certificate: x509.Certificate, extensions: x509.Extensions, public_key: bytes) -> None:
    body = der.split(der.contents(certificate.tbs_certificate_bytes))
    _require(body[_PUBLIC_KEY] == public_key, "public key is not the one asked for")
    critical = _extension(extensions, x509.SubjectAlternativeName).critical
    _require(critical or body[_SUBJECT] != der.sequence(), "names are not critical though the subject is empty")


def _check_names(extensions: x509.Extensions, uri: str, dns_names: Sequence[str]) -> None:
    names = _extension(extensions, x509.SubjectAlternativeName).value
    expected = [*map(x509.DNSName, dns_names), x509.UniformResourceIdentifier(uri)]
    _require(list(names) == expected, "names are not the ones asked for")


def _check_time(certificate: x509.Certificate, now: datetime) -> None:
    _require(certificate.not_valid_before_utc <= now, "not valid yet")
    _require(now <= certificate.not_valid_after_utc, "already expired")


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise InvalidCredentialError(complaint)
