"""X.509-SVIDs: from what is asked to template, signature and last look, in steps that a batch goes through together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from assay.batch import each
from assay.crypto import der
from assay.crypto.keys import PublicKey, to_pkix
from assay.crypto.ski import pkix_key_id
from assay.dnsname import check_dns_name
from assay.errors import AssayError, InvalidArgumentError, UnavailableError, prefixed
from assay.namespace import require_member
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.credential import template
from assay_server.credential.authorities import X509Signer
from assay_server.credential.lastlook import LeafLook
from assay_server.credential.sign import CertificateSigner
from assay_server.credential.subject import Subject
from assay_server.credential.template import Template

_ISSUER_SUBJECT = 5


@dataclass(frozen=True, slots=True)
class LeafOrder:
    """What an X.509-SVID is to say.

    The key may come as it will stand in the certificate, from `csr.SigningRequest.pkix`. The TTL is in seconds, 0
    stands for the default. The first DNS name becomes the common name, also of a subject that is given.
    """

    public_key: PublicKey | bytes
    spiffe_id: SpiffeId
    dns_names: Sequence[str] = ()
    ttl: int = 0
    subject: x509.Name | None = None


@dataclass(frozen=True, slots=True)
class IssuedX509:
    """An X.509-SVID: the chain (DER, leaf first), the serial number in decimal, times in Unix seconds."""

    chain: tuple[bytes, ...]
    spiffe_id: SpiffeId
    serial: str
    not_before: int
    not_after: int


@dataclass(frozen=True, slots=True)
class _Issuance:
    """What is the same for all certificates under one CA."""

    authority: X509Signer
    signer: CertificateSigner
    authority_key: bytes
    not_after: int
    look: LeafLook

    @classmethod
    def of(cls, authority: X509Signer) -> "_Issuance":
        certificate = authority.certificate
        name = der.part(der.contents(certificate.tbs_certificate_bytes), _ISSUER_SUBJECT)
        key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        return cls(
            authority,
            CertificateSigner(name, authority.key),
            template.authority_key_id(key_id),
            int(certificate.not_valid_after_utc.timestamp()),
            LeafLook(certificate),
        )


_Drawn = tuple[LeafOrder, Template]
_Signed = tuple[LeafOrder, Template, bytes]


class LeafIssuer:
    """Issues X.509-SVIDs of one trust domain, with that subject where none is given."""

    def __init__(self, trust_domain: TrustDomain, subject: Subject) -> None:
        self._trust_domain = trust_domain
        self._subject = subject
        self._encoded_subject = subject.encode()
        self._issuance: _Issuance | None = None

    def issue(self, authority: X509Signer, order: LeafOrder, default_ttl: int, now: datetime) -> IssuedX509:
        """One X.509-SVID, its life cut to the authority's.

        Raises:
            InvalidArgumentError: the ID or a DNS name cannot be given.
            UnavailableError: the authority is expired.
        """
        issuance = self._under(authority, now)
        return _checked(_signed(self._drawn(order, issuance, default_ttl, now), issuance), issuance, now)

    def issue_each(
        self, authority: X509Signer, orders: Iterable[LeafOrder | AssayError], default_ttl: int, now: datetime
    ) -> list[IssuedX509 | AssayError]:
        """As `issue` for each of a batch, in order; what was refused before stays so."""
        issuance = self._under(authority, now)
        drawn = each(lambda order: self._drawn(order, issuance, default_ttl, now), orders)
        signed = each(lambda one: _signed(one, issuance), drawn)
        return each(lambda one: _checked(one, issuance, now), signed)

    def _under(self, authority: X509Signer, now: datetime) -> _Issuance:
        if self._issuance is None or self._issuance.authority is not authority:
            self._issuance = _Issuance.of(authority)
        if self._issuance.not_after <= now.timestamp():
            raise UnavailableError("X509 CA is not available for signing", hint="the active one is expired")
        return self._issuance

    def _drawn(self, order: LeafOrder, issuance: _Issuance, default_ttl: int, now: datetime) -> _Drawn:
        check_member(order.spiffe_id, self._trust_domain, "X509-SVID")
        _check_names(order.dns_names)
        subject = self._subject_of(order)
        not_before, not_after = template.lifetime(int(now.timestamp()), order.ttl, default_ttl, issuance.not_after)
        key = order.public_key if isinstance(order.public_key, bytes) else to_pkix(order.public_key)
        extensions = template.leaf_extensions(
            pkix_key_id(key), issuance.authority_key, order.spiffe_id, order.dns_names, subject=subject
        )
        return order, Template(template.new_serial(), subject, not_before, not_after, key, extensions)

    def _subject_of(self, order: LeafOrder) -> bytes:
        if order.subject is None and not order.dns_names:
            return self._encoded_subject
        given = order.subject
        chosen = Subject.from_name(given) if given is not None and len(given) else self._subject
        return (chosen.with_common_name(order.dns_names[0]) if order.dns_names else chosen).encode()


def check_member(spiffe_id: SpiffeId, trust_domain: TrustDomain, kind: str) -> None:
    """Refuse an ID that the trust domain may not give to a workload, agent or server.

    Raises:
        InvalidArgumentError: it is foreign or has no path.
    """
    try:
        require_member(spiffe_id, trust_domain)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"invalid {kind} ID: {error.message}") from None


def _check_names(dns_names: Sequence[str]) -> None:
    for name in dns_names:
        with prefixed("invalid DNS name"):
            check_dns_name(name)


def _signed(drawn: _Drawn, issuance: _Issuance) -> _Signed:
    order, template_ = drawn
    return order, template_, issuance.signer.sign(template_)


def _checked(signed: _Signed, issuance: _Issuance, now: datetime) -> IssuedX509:
    order, drawn, leaf = signed
    issuance.look.check(
        leaf, spiffe_id=order.spiffe_id, dns_names=order.dns_names, public_key=drawn.public_key, now=now
    )
    return IssuedX509(
        (leaf, *issuance.authority.chain), order.spiffe_id, str(drawn.serial), drawn.not_before, drawn.not_after
    )
