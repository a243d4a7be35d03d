"""What the configuration says about authorities."""

from dataclasses import dataclass

from assay.keymanager import KeyType
from assay_server.credential import Subject
from assay_server.credential.subject import DEFAULT_CA_SUBJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class CaSettings:
    """Lifetime of authorities in seconds, kinds of their keys and the subject of CA certificates."""

    ttl: int = 24 * 3600
    x509_key_type: KeyType = KeyType.EC_P256
    jwt_key_type: KeyType = KeyType.EC_P256
    subject: Subject = DEFAULT_CA_SUBJECT
