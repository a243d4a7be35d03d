"""New authorities: their names, documents and journal lines."""

import secrets
import string
from dataclasses import dataclass
from datetime import datetime

from assay.crypto import certificate
from assay.crypto.keys import PublicKey, from_pkix, to_pkix
from assay.crypto.ski import authority_id, subject_key_id
from assay.keymanager import KeyType, SigningKey
from assay.spiffeid import TrustDomain
from assay_server.ca.settings import CaSettings
from assay_server.credential import JwtSigner, WitSigner, X509Signer, template, validate
from assay_server.credential.sign import CertificateSigner
from assay_server.model import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot

_KEY_IDS = {AuthorityKind.X509: "x509-CA-", AuthorityKind.JWT: "JWT-Signer-", AuthorityKind.WIT: "WIT-Signer-"}
_KID_CHARACTERS = string.ascii_letters + string.digits
_KID_LENGTH = 32


def key_id(kind: AuthorityKind, slot: Slot) -> str:
    """What the key manager calls that slot's key; SPIRE's names, so that its keys.json fits."""
    return _KEY_IDS[kind] + slot.value


@dataclass(frozen=True, slots=True)
class AuthorityMaker:
    """Makes the journal lines of new authorities of one trust domain."""

    trust_domain: TrustDomain
    settings: CaSettings

    def key_type(self, kind: AuthorityKind) -> KeyType:
        """The kind of key that is configured for it."""
        return self.settings.key_types[kind]

    def record(self, kind: AuthorityKind, slot: Slot, key: SigningKey, now: datetime) -> AuthorityRecord:
        """A prepared authority with that key, from `now` on."""
        issued_at = int(now.timestamp())
        _, not_after = template.lifetime(issued_at, self.settings.ttl, 0)
        name, document = self._x509(key, now) if kind is AuthorityKind.X509 else self._token(key)
        return AuthorityRecord(
            kind=kind,
            slot=slot,
            status=AuthorityStatus.PREPARED,
            key_id=key_id(kind, slot),
            authority_id=name,
            issued_at=issued_at,
            not_after=not_after,
            document=document,
        )

    def _x509(self, key: SigningKey, now: datetime) -> tuple[str, bytes]:
        public = key.public_key()
        pkix = to_pkix(public)
        root_template = template.self_signed_ca(
            self.trust_domain,
            subject_key_id(public),
            pkix,
            self.settings.subject,
            now=int(now.timestamp()),
            ttl=self.settings.ttl,
        )
        root = CertificateSigner(root_template.subject, key).sign(root_template)
        validate.check_ca(root, trust_domain=self.trust_domain, public_key=pkix, now=now)
        return authority_id(public), root

    @staticmethod
    def _token(key: SigningKey) -> tuple[str, bytes]:
        name = "".join(secrets.choice(_KID_CHARACTERS) for _ in range(_KID_LENGTH))
        return name, to_pkix(key.public_key())


def public_key(record: AuthorityRecord) -> PublicKey:
    """The public key of a journal line.

    Raises:
        InvalidArgumentError: its document is damaged.
    """
    if record.kind is AuthorityKind.X509:
        return certificate.public_key_of(certificate.load(record.document))
    return from_pkix(record.document)


def x509_signer(record: AuthorityRecord, key: SigningKey) -> X509Signer:
    """The signer that a journal line and its key make; roots are not sent along with leaves."""
    return X509Signer(certificate.load(record.document), key, (), record.authority_id)


def jwt_signer(record: AuthorityRecord, key: SigningKey) -> JwtSigner:
    """The signer that a journal line and its key make."""
    return JwtSigner(key, record.authority_id, record.not_after)


def wit_signer(record: AuthorityRecord, key: SigningKey) -> WitSigner:
    """The signer that a journal line and its key make."""
    return WitSigner(key, record.authority_id, record.not_after)
