"""Bundles as JWK Sets: the SPIFFE bundle document (Trust Domain and Bundle, section 4) and the Workload API's form.

Entries that cannot be used are left out and logged, so that one unknown key does not cost a domain its trust; a
document without `keys` is refused, so that an error page does not empty a bundle. So is one that is longer than any
bundle, before it is read: MAX_BYTES, MAX_KEYS.
"""

import base64
import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar, cast

from assay.bundle import jwk
from assay.bundle.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.bundle.strictjson import parse_object
from assay.crypto.certificate import load, public_key_of
from assay.crypto.keys import from_pkix, same_key, to_pkix
from assay.errors import InvalidArgumentError
from assay.spiffeid import TrustDomain

# Of the standard library: the program that imports us decides what becomes of it.
log = logging.getLogger("assay.bundle")

X509_USE, JWT_USE, WIT_USE = "x509-svid", "jwt-svid", "wit-svid"
MAX_SEQUENCE = 2**64 - 1
MAX_REFRESH_HINT = 2**31 - 1
MAX_BYTES = 4 * 1024 * 1024
"""Of a document; gRPC's own limit for a message."""
MAX_KEYS = 4096
"""In a document; a trust domain has a handful."""
_USES = (X509_USE, JWT_USE, WIT_USE)
# In a set that holds the keys of one kind of token and no others, RFC 7517's own word for such keys says the same.
_SET_USES = (None, "sig")
_KEY_TYPES = ("EC", "RSA", "OKP")
_INDENT = 4
_SHOWN = 100

A = TypeVar("A", JwtAuthority, WitAuthority)


def emit(bundle: Bundle) -> bytes:
    """The SPIFFE bundle document."""
    keys = [_emit_x509(one) for one in bundle.x509_authorities]
    keys += [{"use": JWT_USE, **_emit_key(one)} for one in bundle.jwt_authorities]
    keys += [{"use": WIT_USE, **_emit_key(one)} for one in bundle.wit_authorities]
    document: dict[str, object] = {"keys": keys}
    if bundle.sequence:
        document["spiffe_sequence"] = bundle.sequence
    if bundle.refresh_hint:
        document["spiffe_refresh_hint"] = bundle.refresh_hint
    return json.dumps(document, indent=_INDENT).encode()


def emit_jwt(bundle: Bundle) -> bytes:
    """The JWT authorities as an ordinary JWK Set, as the Workload API sends them: no `use`, nothing of SPIFFE."""
    return _emit_set(bundle.jwt_authorities)


def emit_wit(bundle: Bundle) -> bytes:
    """The WIT authorities likewise."""
    return _emit_set(bundle.wit_authorities)


def parse(trust_domain: TrustDomain, data: bytes) -> Bundle:
    """The bundle of a SPIFFE bundle document.

    Raises:
        InvalidArgumentError: not a JWK Set, too long, a member twice, or a sequence or hint that is not a number as it
            should be.
    """
    document = _document(data)
    entries = _keys(document)
    jwt = _authorities(trust_domain, entries, JWT_USE, JwtAuthority)
    taken = {one.key_id for one in jwt}
    return Bundle(
        trust_domain=trust_domain,
        x509_authorities=_x509_authorities(trust_domain, entries),
        jwt_authorities=jwt,
        wit_authorities=_authorities(trust_domain, entries, WIT_USE, WitAuthority, taken=taken),
        refresh_hint=min(max(0, _integer(document, "spiffe_refresh_hint")), MAX_REFRESH_HINT),
        sequence=_sequence(document),
    )


def parse_jwt(trust_domain: TrustDomain, data: bytes) -> Bundle:
    """The bundle of a Workload API JWK Set (section 6.2.2), whose entries have no `use`, or one for signatures.

    Raises:
        InvalidArgumentError: not a JWK Set, too long, or a member twice.
    """
    entries = _keys(_document(data))
    return Bundle(trust_domain, jwt_authorities=_authorities(trust_domain, entries, JWT_USE, JwtAuthority, _SET_USES))


def parse_wit(trust_domain: TrustDomain, data: bytes) -> Bundle:
    """The bundle of a Workload API JWK Set for WIT-SVIDs (section 7.2.2), read as `parse_jwt` reads its own.

    Raises:
        InvalidArgumentError: not a JWK Set, too long, or a member twice.
    """
    entries = _keys(_document(data))
    return Bundle(trust_domain, wit_authorities=_authorities(trust_domain, entries, WIT_USE, WitAuthority, _SET_USES))


def _emit_x509(authority: X509Authority) -> dict[str, object]:
    key = jwk.emit(public_key_of(load(authority.der)))
    return {"use": X509_USE, **key, "x5c": [base64.b64encode(authority.der).decode()]}


def _emit_set(authorities: Sequence[JwtAuthority | WitAuthority]) -> bytes:
    return json.dumps({"keys": [_emit_key(one) for one in authorities]}, indent=_INDENT).encode()


def _emit_key(authority: JwtAuthority | WitAuthority) -> dict[str, object]:
    key = jwk.emit(from_pkix(authority.public_key))
    # In SPIRE's order: who compares documents byte by byte sees no change when an agent is replaced.
    return {"kty": key["kty"], "kid": authority.key_id, **key}


def _document(data: bytes) -> Mapping[str, object]:
    if len(data) > MAX_BYTES:
        raise InvalidArgumentError(
            f"bundle has {len(data)} bytes; at most {MAX_BYTES} are read", hint="check what is served at this place"
        )
    return parse_object(data, "bundle")


def _keys(document: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise InvalidArgumentError('bundle has no list "keys"', hint="an empty list means that all keys are revoked")
    entries = cast("list[object]", keys)
    if len(entries) > MAX_KEYS:
        raise InvalidArgumentError(
            f"bundle has {len(entries)} keys; at most {MAX_KEYS} are read", hint="check what is served at this place"
        )
    if not all(isinstance(entry, dict) for entry in entries):
        raise InvalidArgumentError('an element of "keys" is not an object')
    return cast("list[Mapping[str, object]]", entries)


def _integer(document: Mapping[str, object], name: str) -> int:
    value = document.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgumentError(f"{name} is not an integer")
    return value


def _sequence(document: Mapping[str, object]) -> int:
    sequence = _integer(document, "spiffe_sequence")
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise InvalidArgumentError("spiffe_sequence is not a 64-bit number")
    return sequence


def _x509_authorities(trust_domain: TrustDomain, entries: Sequence[Mapping[str, object]]) -> tuple[X509Authority, ...]:
    found: dict[bytes, X509Authority] = {}
    for entry in entries:
        if entry.get("use") != X509_USE:
            continue
        try:
            authority = _x509_authority(entry)
        except InvalidArgumentError as error:
            _ignore(trust_domain, X509_USE, error)
        else:
            found.setdefault(authority.der, authority)
    return tuple(found.values())


def _x509_authority(entry: Mapping[str, object]) -> X509Authority:
    if entry.get("kty") not in _KEY_TYPES:
        raise InvalidArgumentError(f"unknown key type {entry.get('kty')!r}")
    x5c = entry.get("x5c")
    first = cast("list[object]", x5c)[0] if isinstance(x5c, list) and x5c else None
    if not isinstance(first, str):
        raise InvalidArgumentError("no certificate in x5c")
    try:
        der = base64.b64decode(first, validate=True)
    except ValueError:
        raise InvalidArgumentError("x5c is not base64") from None
    key = public_key_of(load(der))
    # Members that describe a key must describe the certificate's (RFC 7517, section 4.7).
    if ("x" in entry or "n" in entry) and entry["kty"] != "OKP" and not same_key(jwk.parse(entry), key):
        raise InvalidArgumentError("x5c is the certificate of another key")
    return X509Authority(der)


def _authorities(
    trust_domain: TrustDomain,
    entries: Sequence[Mapping[str, object]],
    use: str,
    make: Callable[[str, bytes], A],
    others: Sequence[str | None] = (),
    taken: Collection[str] = (),
) -> tuple[A, ...]:
    """The keys of that use (or of `others`, which mean the same), whose IDs are none of those `taken`."""
    found: dict[str, A] = {}
    for entry in entries:
        if entry.get("use") not in (use, *others):
            if use == JWT_USE and entry.get("use") not in _USES:
                _ignore(trust_domain, entry.get("use"), InvalidArgumentError("unknown use"))
            continue
        try:
            key_id, public_key = _key(entry, taken)
        except InvalidArgumentError as error:
            _ignore(trust_domain, use, error)
        else:
            found.setdefault(key_id, make(key_id, public_key))
    return tuple(found.values())


def _key(entry: Mapping[str, object], taken: Collection[str]) -> tuple[str, bytes]:
    key_id = entry.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise InvalidArgumentError("no key ID")
    if key_id in taken:
        raise InvalidArgumentError("another kind of key has its ID")
    return key_id, to_pkix(jwk.parse(entry))


def _ignore(trust_domain: TrustDomain, use: object, error: InvalidArgumentError) -> None:
    # A stranger's document has a say in both.
    shown, why = str(use)[:_SHOWN], error.message[:_SHOWN]
    fields = {"trust_domain_id": str(trust_domain.id), "use": shown, "error": why}
    log.warning("Ignoring key of bundle", extra={"fields": fields})
