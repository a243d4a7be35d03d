"""How our own bundle changes: pure, with a number that grows whenever the contents do."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.errors import InvalidArgumentError

MAX_SEQUENCE = 2**64 - 1

K = TypeVar("K", JwtAuthority, WitAuthority)


def appended(
    stored: Bundle, x509: Sequence[X509Authority], jwt: Sequence[JwtAuthority], wit: Sequence[WitAuthority] = ()
) -> Bundle:
    """The stored bundle with the authorities that it lacks; itself when it has them all.

    Raises:
        InvalidArgumentError: as `check_key_ids` does.
    """
    certificates = {authority.der for authority in stored.x509_authorities}
    new_x509 = tuple({each.der: each for each in x509 if each.der not in certificates}.values())
    new_jwt, new_wit = _lacking(stored.jwt_authorities, jwt), _lacking(stored.wit_authorities, wit)
    if not (new_x509 or new_jwt or new_wit):
        return stored
    bundle = replace(
        stored,
        x509_authorities=stored.x509_authorities + new_x509,
        jwt_authorities=stored.jwt_authorities + new_jwt,
        wit_authorities=stored.wit_authorities + new_wit,
        sequence=_next(stored),
    )
    check_key_ids(bundle)
    return bundle


def check_key_ids(bundle: Bundle) -> None:
    """Pass a bundle in which a `kid` names one key, whatever it signs (WIT-SVID section 6.1).

    Raises:
        InvalidArgumentError: a JWT authority and a WIT authority share one.
    """
    shared = {one.key_id for one in bundle.jwt_authorities} & {one.key_id for one in bundle.wit_authorities}
    if shared:
        raise InvalidArgumentError(f'key ID "{min(shared)}" is that of a JWT authority and of a WIT authority')


def _lacking(stored: Sequence[K], given: Sequence[K]) -> tuple[K, ...]:
    known = {authority.key_id for authority in stored}
    return tuple({each.key_id: each for each in given if each.key_id not in known}.values())


def _next(stored: Bundle) -> int:
    return min(stored.sequence + 1, MAX_SEQUENCE)
