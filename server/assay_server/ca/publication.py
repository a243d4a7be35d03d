"""What the CA does to its trust domain's bundle; pure. Every change after the first raises the sequence number."""

from dataclasses import replace

from cryptography import x509

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay_server.model import AuthorityKind, AuthorityRecord

KEEP_EXPIRED = 24 * 3600
"""Seconds for which an expired authority stays published, for peers whose clock is late."""


def publish(bundle: Bundle, record: AuthorityRecord) -> Bundle:
    """The bundle with that authority in it."""
    if published(bundle, record):
        return bundle
    # The first authority makes the bundle, and changes none: SPIRE counts from there.
    first = not (bundle.x509_authorities or bundle.jwt_authorities or bundle.wit_authorities)
    added = _with(bundle, record)
    return added if first else replace(added, sequence=bundle.sequence + 1)


def published(bundle: Bundle, record: AuthorityRecord) -> bool:
    """Whether that authority is in the bundle."""
    if record.kind is AuthorityKind.X509:
        return any(authority.der == record.document for authority in bundle.x509_authorities)
    keys = bundle.jwt_authorities if record.kind is AuthorityKind.JWT else bundle.wit_authorities
    return any(authority.key_id == record.authority_id for authority in keys)


def _with(bundle: Bundle, record: AuthorityRecord) -> Bundle:
    match record.kind:
        case AuthorityKind.X509:
            return replace(bundle, x509_authorities=(*bundle.x509_authorities, X509Authority(record.document)))
        case AuthorityKind.JWT:
            jwt = JwtAuthority(record.authority_id, record.document, record.not_after)
            return replace(bundle, jwt_authorities=(*bundle.jwt_authorities, jwt))
        case AuthorityKind.WIT:
            wit = WitAuthority(record.authority_id, record.document, record.not_after)
            return replace(bundle, wit_authorities=(*bundle.wit_authorities, wit))


def prune(bundle: Bundle, now: int) -> Bundle:
    """The bundle without authorities that expired more than a day before `now` (Unix seconds).

    The last X.509 authorities stay: a bundle without any is as good as a broken one.
    """
    expired = now - KEEP_EXPIRED
    x509_kept = tuple(one for one in bundle.x509_authorities if x509_end(one) > expired) or bundle.x509_authorities
    pruned = replace(
        bundle,
        x509_authorities=x509_kept,
        jwt_authorities=tuple(one for one in bundle.jwt_authorities if _lasts(one, expired)),
        wit_authorities=tuple(one for one in bundle.wit_authorities if _lasts(one, expired)),
    )
    return bundle if pruned == bundle else replace(pruned, sequence=bundle.sequence + 1)


def _lasts(key: JwtAuthority | WitAuthority, beyond: int) -> bool:
    return not key.expires_at or key.expires_at > beyond


def x509_end(authority: X509Authority) -> int:
    """NotAfter in Unix seconds."""
    return int(x509.load_der_x509_certificate(authority.der).not_valid_after_utc.timestamp())
