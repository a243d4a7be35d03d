"""Bundles of several keys, of every kind that an authority has."""

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import KeySet

from assay.bundle import Bundle, JwtAuthority, X509Authority, jwks
from assay.crypto.keys import accepted, generate, to_pkix
from assay.keymanager import KeyType
from assay.spiffeid import TrustDomain
from assay.testing.authority import ca_extensions, subject
from assay.testing.clock import START

HOME = TrustDomain("example.org")
KINDS = (KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048)
# As RFC 7518 has them, beside what says the key's purpose.
MEMBERS = {"EC": {"kty", "crv", "x", "y"}, "RSA": {"kty", "n", "e"}}


def root(key: CertificateIssuerPrivateKeyTypes, name: str) -> bytes:
    builder = x509.CertificateBuilder(
        issuer_name=subject(name),
        subject_name=subject(name),
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=START,
        not_valid_after=START.replace(year=START.year + 1),
    )
    for extension, critical in ca_extensions():
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """An X.509 and a JWT authority of each kind of key."""
    keys = [generate(kind) for kind in KINDS]
    return Bundle(
        HOME,
        tuple(X509Authority(root(key, f"root {number}")) for number, key in enumerate(keys)),
        tuple(JwtAuthority(f"key {number}", to_pkix(key.public_key())) for number, key in enumerate(keys)),
    )


@pytest.mark.spec("X509-6.1-a", "X509-6.1-b", "X509-6.1-c", "X509-6.1-d", "X509-6.1-e", "X509-6.1-g", "TDB-4.2-a")
def test_each_certificate_has_an_entry_with_its_own_key(bundle: Bundle) -> None:
    entries = [one for one in json.loads(jwks.emit(bundle))["keys"] if one["use"] == "x509-svid"]
    assert [one["kty"] for one in entries] == ["EC", "EC", "RSA"]
    for entry, authority in zip(entries, bundle.x509_authorities, strict=True):
        assert entry.keys() == MEMBERS[entry["kty"]] | {"use", "x5c"}
        (x5c,) = entry["x5c"]
        assert base64.b64decode(x5c, validate=True) == authority.der
        named = {name: value for name, value in entry.items() if name not in {"use", "x5c"}}
        (read,) = KeySet.import_key_set({"keys": [named]}).keys
        certificate = x509.load_der_x509_certificate(authority.der)
        assert read.public_key == certificate.public_key()


@pytest.mark.spec("JWT-6.1-a", "JWT-6.1-b", "JWT-6.1-c", "TDB-4.2-a", "TDB-4.2.1-a", "TDB-4.2.2-a", "TDB-4-a")
def test_each_key_for_tokens_has_an_entry_with_its_name(bundle: Bundle) -> None:
    entries = [one for one in json.loads(jwks.emit(bundle))["keys"] if one["use"] == "jwt-svid"]
    assert [one["kid"] for one in entries] == ["key 0", "key 1", "key 2"]
    assert all(one.keys() == MEMBERS[one["kty"]] | {"use", "kid"} for one in entries)
    plain = [{name: value for name, value in one.items() if name != "use"} for one in entries]
    read = [accepted(key.public_key) for key in KeySet.import_key_set({"keys": plain}).keys]
    assert [to_pkix(key) for key in read] == [one.public_key for one in bundle.jwt_authorities]
