"""The issuer: template, signature, last look. Signing is a matter of CPU, so none of this awaits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from assay.clock import Clock
from assay.crypto import der
from assay.crypto.keys import PublicKey, to_pkix
from assay.crypto.ski import subject_key_id
from assay.dnsname import check_dns_name
from assay.errors import InvalidArgumentError, UnavailableError, prefixed
from assay.namespace import require_member, server_id
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.credential import template, validate
from assay_server.credential.authorities import Authorities, JwtSigner, X509Signer
from assay_server.credential.jwt import Claims, TokenSigner, audience_of
from assay_server.credential.sign import CertificateSigner
from assay_server.credential.subject import DEFAULT_SVID_SUBJECT, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSettings:
    """Lifetimes in seconds, the `iss` claim of tokens (none if empty) and the subject of X.509-SVIDs."""

    x509_svid_ttl: int = 3600
    jwt_svid_ttl: int = 300
    agent_ttl: int = 3600
    jwt_issuer: str = ""
    subject: Subject = DEFAULT_SVID_SUBJECT


@dataclass(frozen=True, slots=True)
class IssuedX509:
    """An X.509-SVID: the chain (DER, leaf first), the serial number in decimal, times in Unix seconds."""

    chain: tuple[bytes, ...]
    spiffe_id: SpiffeId
    serial: str
    not_before: int
    not_after: int


@dataclass(frozen=True, slots=True)
class IssuedJwt:
    """A JWT-SVID; times in Unix seconds. The token is a secret."""

    token: str = field(repr=False)
    spiffe_id: SpiffeId
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class _X509Issuance:
    """What is the same for all certificates under one CA."""

    authority: X509Signer
    signer: CertificateSigner
    authority_key: bytes
    not_after: int

    @classmethod
    def of(cls, authority: X509Signer) -> "_X509Issuance":
        certificate = authority.certificate
        name = der.split(der.contents(certificate.tbs_certificate_bytes))[5]
        key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        return cls(
            authority,
            CertificateSigner(name, authority.key),
            template.authority_key_id(key_id),
            int(certificate.not_valid_after_utc.timestamp()),
        )


@dataclass(frozen=True, slots=True)
class _JwtIssuance:
    """What is the same for all tokens under one key."""

    authority: JwtSigner
    signer: TokenSigner


class Issuer:
    """Issues SVIDs of one trust domain under whatever authority is active at the moment.

    Every method raises InvalidArgumentError for an ID outside the trust domain, a negative TTL or a name that
    cannot be in a certificate, and UnavailableError when no authority is active. Zero TTLs stand for the default;
    lifetimes are cut to that of the authority.
    """

    def __init__(
        self, trust_domain: TrustDomain, authorities: Authorities, clock: Clock, settings: CredentialSettings
    ) -> None:
        self._trust_domain = trust_domain
        self._authorities = authorities
        self._clock = clock
        self._settings = settings
        self._subject = settings.subject.encode()
        self._x509: _X509Issuance | None = None
        self._jwt: _JwtIssuance | None = None

    def workload_x509(
        self,
        public_key: PublicKey,
        spiffe_id: SpiffeId,
        *,
        dns_names: Sequence[str] = (),
        ttl: int = 0,
        subject: x509.Name | None = None,
    ) -> IssuedX509:
        """An X.509-SVID; the first DNS name becomes the common name, also of a subject that is given."""
        return self._leaf(public_key, spiffe_id, dns_names, ttl, self._settings.x509_svid_ttl, subject)

    def agent_x509(self, public_key: PublicKey, spiffe_id: SpiffeId) -> IssuedX509:
        """An agent's X.509-SVID."""
        return self._leaf(public_key, spiffe_id, (), 0, self._settings.agent_ttl, None)

    def server_x509(self, public_key: PublicKey) -> IssuedX509:
        """The server's own X.509-SVID."""
        return self._leaf(public_key, server_id(self._trust_domain), (), 0, self._settings.x509_svid_ttl, None)

    def workload_jwt(
        self, spiffe_id: SpiffeId, audience: Sequence[str], *, ttl: int = 0, include_jti: bool = False
    ) -> IssuedJwt:
        """A JWT-SVID for that audience; empty values of it are dropped."""
        self._check_member(spiffe_id, "JWT-SVID")
        wanted = audience_of(audience)
        now = self._clock.now()
        issuance = self._jwt_issuance(now)
        issued_at = int(now.timestamp())
        cap = issuance.authority.not_after
        _, expires_at = template.lifetime(issued_at, ttl, self._settings.jwt_svid_ttl, cap)
        claims = Claims(spiffe_id, wanted, issued_at, expires_at, self._settings.jwt_issuer, include_jti)
        token = issuance.signer.sign(claims)
        validate.check_jwt(token, spiffe_id=spiffe_id, audience=wanted, now=now)
        return IssuedJwt(token, spiffe_id, issued_at, expires_at)

    def _leaf(
        self,
        public_key: PublicKey,
        spiffe_id: SpiffeId,
        dns_names: Sequence[str],
        ttl: int,
        default_ttl: int,
        subject: x509.Name | None,
    ) -> IssuedX509:
        self._check_member(spiffe_id, "X509-SVID")
        _check_names(dns_names)
        name = self._subject_for(subject, dns_names)
        now = self._clock.now()
        issuance = self._x509_issuance(now)
        not_before, not_after = template.lifetime(int(now.timestamp()), ttl, default_ttl, issuance.not_after)
        key = to_pkix(public_key)
        extensions = template.leaf_extensions(
            subject_key_id(public_key), issuance.authority_key, spiffe_id, dns_names, subject=name
        )
        serial = template.new_serial()
        leaf = issuance.signer.sign(template.Template(serial, name, not_before, not_after, key, extensions))
        signer = issuance.authority.certificate
        validate.check_leaf(leaf, spiffe_id=spiffe_id, dns_names=dns_names, public_key=key, signer=signer, now=now)
        return IssuedX509((leaf, *issuance.authority.chain), spiffe_id, str(serial), not_before, not_after)

    def _subject_for(self, subject: x509.Name | None, dns_names: Sequence[str]) -> bytes:
        if subject is None and not dns_names:
            return self._subject
        chosen = Subject.from_name(subject) if subject is not None and len(subject) else self._settings.subject
        return (chosen.with_common_name(dns_names[0]) if dns_names else chosen).encode()

    def _check_member(self, spiffe_id: SpiffeId, kind: str) -> None:
        try:
            require_member(spiffe_id, self._trust_domain)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"invalid {kind} ID: {error.message}") from None

    def _x509_issuance(self, now: datetime) -> _X509Issuance:
        authority = self._authorities.x509
        if self._x509 is None or self._x509.authority is not authority:
            self._x509 = _X509Issuance.of(authority)
        if self._x509.not_after <= now.timestamp():
            raise UnavailableError("X509 CA is not available for signing", hint="the active one is expired")
        return self._x509

    def _jwt_issuance(self, now: datetime) -> _JwtIssuance:
        authority = self._authorities.jwt
        if self._jwt is None or self._jwt.authority is not authority:
            self._jwt = _JwtIssuance(authority, TokenSigner.of(authority))
        if authority.not_after <= now.timestamp():
            raise UnavailableError("JWT key is not available for signing", hint="the active one is expired")
        return self._jwt


def _check_names(dns_names: Sequence[str]) -> None:
    for name in dns_names:
        with prefixed("invalid DNS name"):
            check_dns_name(name)
