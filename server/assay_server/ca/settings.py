"""What the configuration says about authorities."""

from dataclasses import dataclass

from assay.config.duration import format_duration
from assay.keymanager import KeyType
from assay_server.credential import Subject
from assay_server.credential.subject import DEFAULT_CA_SUBJECT
from assay_server.model.lifetime import ACTIVATION_CAP, ACTIVATION_SHARE, safe_ttl


@dataclass(frozen=True, slots=True, kw_only=True)
class CaSettings:
    """Lifetime of authorities in seconds, kinds of their keys and the subject of CA certificates.

    `svid_ttls` are the configured lifetimes of SVIDs in seconds by the name of their setting; each that a scheduled
    rotation can cut short is warned about.
    """

    ttl: int = 24 * 3600
    x509_key_type: KeyType = KeyType.EC_P256
    jwt_key_type: KeyType = KeyType.EC_P256
    subject: Subject = DEFAULT_CA_SUBJECT
    svid_ttls: tuple[tuple[str, int], ...] = ()

    def warnings(self) -> list[str]:
        """One message for each lifetime that cannot be guaranteed."""
        limit = safe_ttl(self.ttl)
        return [self._warning(name, ttl, limit) for name, ttl in self.svid_ttls if ttl > limit]

    @staticmethod
    def _warning(name: str, ttl: int, limit: int) -> str:
        consequence = "SVIDs with shorter lifetimes may be issued."
        lower = f"Please set {name} to {format_duration(limit)} or less"
        if ttl > ACTIVATION_CAP:
            return f"{name} is too high. {consequence} {lower} {_guarantee(name)}"
        remedy = f"{lower}, or the ca_ttl to {format_duration(ACTIVATION_SHARE * ttl)} or more"
        return f"{name} is too high for the configured ca_ttl value. {consequence} {remedy}, {_guarantee(name)}"


def _guarantee(name: str) -> str:
    return f"to guarantee the full {name} lifetime when CA rotations are scheduled."
