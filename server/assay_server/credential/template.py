"""What certificates contain, as SPIRE's do; pure. What does not change from one to the next is encoded once, here."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from assay.crypto import der
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.credential.subject import EMPTY, Subject

BACKDATE = 10
"""Seconds by which NotBefore lies in the past, for peers whose clock is late."""

LAST_SECOND = 253402300799
"""The end of the year 9999: no certificate can say more."""

_SERIAL_BITS = 128
_URI_NAME, _DNS_NAME, _KEY_IDENTIFIER = 0x86, 0x82, 0x80


_SUBJECT_KEY_ID, _KEY_USAGE, _SUBJECT_ALT_NAME, _BASIC_CONSTRAINTS, _AUTHORITY_KEY_ID, _EXTENDED_KEY_USAGE = (
    der.object_identifier(f"2.5.29.{number}") for number in (14, 15, 17, 19, 35, 37)
)


def _extension(oid: bytes, value: bytes, *, critical: bool = False) -> bytes:
    critical_mark = der.TRUE if critical else b""
    return der.sequence(oid, critical_mark, der.element(der.OCTET_STRING, value))


_SERVER_AND_CLIENT = der.sequence(
    der.object_identifier("1.3.6.1.5.5.7.3.1"), der.object_identifier("1.3.6.1.5.5.7.3.2")
)
# Key usages are bit strings whose first octet counts the unused bits at their end.
_LEAF_USAGE = der.element(der.BIT_STRING, bytes((3, 0b10101000)))  # digitalSignature, keyEncipherment, keyAgreement
_CA_USAGE = der.element(der.BIT_STRING, bytes((1, 0b00000110)))  # keyCertSign, cRLSign

# In Go's order: usage, extended usage, constraints, subject key, authority key, names.
_LEAF_HEAD = b"".join(
    (
        _extension(_KEY_USAGE, _LEAF_USAGE, critical=True),
        _extension(_EXTENDED_KEY_USAGE, _SERVER_AND_CLIENT),
        _extension(_BASIC_CONSTRAINTS, der.sequence(), critical=True),
    )
)
_CA_HEAD = b"".join(
    (
        _extension(_KEY_USAGE, _CA_USAGE, critical=True),
        _extension(_BASIC_CONSTRAINTS, der.sequence(der.TRUE), critical=True),
    )
)


@dataclass(frozen=True, slots=True)
class Template:
    """A certificate to be signed. Subject, public key (PKIX) and extensions are DER; times are Unix seconds."""

    serial: int
    subject: bytes
    not_before: int
    not_after: int
    public_key: bytes
    extensions: bytes


def new_serial() -> int:
    """A random serial number from 1 to 2^128 - 1."""
    return secrets.randbits(_SERIAL_BITS) or 1


def lifetime(now: int, ttl: int, default: int, cap: int = LAST_SECOND) -> tuple[int, int]:
    """NotBefore and NotAfter for that TTL (0 or, as with SPIRE, less: the default), cut to `cap`."""
    return now - BACKDATE, min(now + (ttl if ttl > 0 else default), cap)


def authority_key_id(key_id: bytes) -> bytes:
    """The extension that names the signer's key; the same for all certificates of one signer."""
    return _extension(_AUTHORITY_KEY_ID, der.sequence(der.element(_KEY_IDENTIFIER, key_id)))


def leaf_extensions(
    key_id: bytes, authority_key: bytes, spiffe_id: SpiffeId, dns_names: Sequence[str], *, subject: bytes
) -> bytes:
    """A leaf's extensions; `authority_key` comes from `authority_key_id`."""
    names = _names(str(spiffe_id), dns_names, critical=subject == EMPTY)
    return _LEAF_HEAD + _subject_key_id(key_id) + authority_key + names


def self_signed_ca(
    trust_domain: TrustDomain, key_id: bytes, public_key: bytes, subject: Subject, *, now: int, ttl: int
) -> Template:
    """A root for that trust domain; its subject carries its serial number."""
    serial = new_serial()
    not_before, not_after = lifetime(now, ttl, 0)
    extensions = _CA_HEAD + _subject_key_id(key_id) + _names(str(trust_domain.id), (), critical=False)
    name = subject.with_serial_number(serial).encode()
    return Template(serial, name, not_before, not_after, public_key, extensions)


def _subject_key_id(key_id: bytes) -> bytes:
    return _extension(_SUBJECT_KEY_ID, der.element(der.OCTET_STRING, key_id))


def _names(uri: str, dns_names: Sequence[str], *, critical: bool) -> bytes:
    # DNS names first: Go's order, thus SPIRE's.
    names = [der.element(_DNS_NAME, name.encode("ascii")) for name in dns_names]
    return _extension(_SUBJECT_ALT_NAME, der.sequence(*names, der.element(_URI_NAME, uri.encode())), critical=critical)
