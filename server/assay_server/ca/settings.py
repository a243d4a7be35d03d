"""What the configuration says about authorities."""

from collections.abc import Mapping
from dataclasses import dataclass

from assay.keymanager import KeyType
from assay_server.credential import Subject
from assay_server.credential.subject import DEFAULT_CA_SUBJECT
from assay_server.model import AuthorityKind


@dataclass(frozen=True, slots=True, kw_only=True)
class CaSettings:
    """Lifetime of authorities in seconds, kinds of their keys and the subject of CA certificates.

    Without `wit`, which is off unless asked for, there is no WIT key.
    """

    ttl: int = 24 * 3600
    x509_key_type: KeyType = KeyType.EC_P256
    jwt_key_type: KeyType = KeyType.EC_P256
    wit_key_type: KeyType = KeyType.EC_P256
    wit: bool = False
    subject: Subject = DEFAULT_CA_SUBJECT

    @property
    def key_types(self) -> Mapping[AuthorityKind, KeyType]:
        """The kinds of authority there are, in the order they are made, each with the kind of its key."""
        kinds = {AuthorityKind.X509: self.x509_key_type, AuthorityKind.JWT: self.jwt_key_type}
        return {**kinds, AuthorityKind.WIT: self.wit_key_type} if self.wit else kinds
