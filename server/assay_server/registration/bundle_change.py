"""How a stored bundle changes: pure, with a sequence number that grows whenever the contents do."""

from collections.abc import Sequence
from dataclasses import replace

from assay.bundle import Bundle, JwtAuthority, X509Authority

MAX_SEQUENCE = 2**64 - 1


def replaced(stored: Bundle | None, given: Bundle) -> Bundle:
    """The given bundle in place of the stored one.

    A foreign trust domain numbers its own bundles, so its number is kept where it is higher. Bundles given as PEM
    have no number, and some endpoints start again at one; those take the next number.
    """
    if stored is None or given.sequence > stored.sequence:
        return given
    same = replace(given, sequence=stored.sequence)
    return stored if same == stored else replace(given, sequence=_next(stored))


def appended(stored: Bundle, x509: Sequence[X509Authority], jwt: Sequence[JwtAuthority]) -> Bundle:
    """The stored bundle with the authorities that it lacks; itself when it has them all."""
    certificates = {authority.der for authority in stored.x509_authorities}
    keys = {authority.key_id for authority in stored.jwt_authorities}
    new_x509 = tuple({each.der: each for each in x509 if each.der not in certificates}.values())
    new_jwt = tuple({each.key_id: each for each in jwt if each.key_id not in keys}.values())
    if not new_x509 and not new_jwt:
        return stored
    return replace(
        stored,
        x509_authorities=stored.x509_authorities + new_x509,
        jwt_authorities=stored.jwt_authorities + new_jwt,
        sequence=_next(stored),
    )


def _next(stored: Bundle) -> int:
    return min(stored.sequence + 1, MAX_SEQUENCE)
