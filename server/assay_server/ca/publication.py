"""What the CA does to its trust domain's bundle; pure. Every change after the first raises the sequence number."""

from dataclasses import replace

from cryptography import x509

from assay.bundle import Bundle, JwtAuthority, X509Authority
from assay_server.model import AuthorityKind, AuthorityRecord

KEEP_EXPIRED = 24 * 3600
"""Seconds for which an expired authority stays published, for peers whose clock is late."""


def publish(bundle: Bundle, record: AuthorityRecord) -> Bundle:
    """The bundle with that authority in it."""
    if published(bundle, record):
        return bundle
    if record.kind is AuthorityKind.X509:
        added = replace(bundle, x509_authorities=(*bundle.x509_authorities, X509Authority(record.document)))
    else:
        key = JwtAuthority(record.authority_id, record.document, record.not_after)
        added = replace(bundle, jwt_authorities=(*bundle.jwt_authorities, key))
    # The first authority makes the bundle, and changes none: SPIRE counts from there.
    first = not bundle.x509_authorities and not bundle.jwt_authorities
    return added if first else replace(added, sequence=bundle.sequence + 1)


def published(bundle: Bundle, record: AuthorityRecord) -> bool:
    """Whether that authority is in the bundle."""
    if record.kind is AuthorityKind.X509:
        return any(authority.der == record.document for authority in bundle.x509_authorities)
    return any(authority.key_id == record.authority_id for authority in bundle.jwt_authorities)


def prune(bundle: Bundle, now: int) -> Bundle:
    """The bundle without authorities that expired more than a day before `now` (Unix seconds).

    The last X.509 authorities stay: a bundle without any is as good as a broken one.
    """
    expired = now - KEEP_EXPIRED
    x509_kept = tuple(one for one in bundle.x509_authorities if x509_end(one) > expired) or bundle.x509_authorities
    jwt_kept = tuple(one for one in bundle.jwt_authorities if not one.expires_at or one.expires_at > expired)
    if x509_kept == bundle.x509_authorities and jwt_kept == bundle.jwt_authorities:
        return bundle
    return replace(bundle, x509_authorities=x509_kept, jwt_authorities=jwt_kept, sequence=bundle.sequence + 1)


def x509_end(authority: X509Authority) -> int:
    """NotAfter in Unix seconds."""
    return int(x509.load_der_x509_certificate(authority.der).not_valid_after_utc.timestamp())
