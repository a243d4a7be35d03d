"""The words for the log that operators' scripts look for; SPIRE's, with its field names."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from assay_server.model import AuthorityKind, AuthorityRecord


@dataclass(frozen=True, slots=True)
class Words:
    """The messages about one kind of key."""

    preparing: str
    prepared: str
    activated: str
    unusable: str
    failed: str


WORDS: Mapping[AuthorityKind, Words] = {
    AuthorityKind.X509: Words(
        preparing="Preparing X509 CA",
        prepared="X509 CA prepared",
        activated="X509 CA activated",
        unusable="X509CA slot unusable",
        failed="Unable to rotate X509 CA",
    ),
    AuthorityKind.JWT: Words(
        preparing="Preparing JWT key",
        prepared="JWT key prepared",
        activated="JWT key activated",
        unusable="JWT key slot unusable",
        failed="Unable to rotate JWT key",
    ),
    AuthorityKind.WIT: Words(
        preparing="Preparing WIT key",
        prepared="WIT key prepared",
        activated="WIT key activated",
        unusable="WIT key slot unusable",
        failed="Unable to rotate WIT key",
    ),
}


def fields(record: AuthorityRecord) -> dict[str, object]:
    """What each of these lines says about the authority."""
    about: dict[str, object] = {
        "slot": record.slot.value,
        "issued_at": _date(record.issued_at),
        "expiration": _date(record.not_after),
        "local_authority_id": record.authority_id,
    }
    return about | ({"self_signed": True} if record.kind is AuthorityKind.X509 else {})


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
