"""Certificates put together from ready DER, beside those that cryptography builds from objects: the same bytes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type  # its only way to choose a string's kind
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.crypto import der
from assay.crypto.keys import PublicKey, generate, signature_hash, to_pkix
from assay.crypto.ski import pkix_key_id, subject_key_id
from assay.keymanager import KeyType, SigningKey
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import key_usage
from assay_server.credential import template
from assay_server.credential.sign import CertificateSigner
from assay_server.credential.subject import Subject
from assay_server.credential.template import Template

CA_KEYS: dict[KeyType, SigningKey] = {key_type: generate(key_type) for key_type in KeyType}
LEAF_KEYS: list[PublicKey] = [
    *(generate(key_type).public_key() for key_type in (KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048)),
    ec.generate_private_key(ec.SECP521R1()).public_key(),
    Ed25519PrivateKey.generate().public_key(),
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IN_2050 = int(datetime(2050, 1, 1, tzinfo=UTC).timestamp())

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100)
# Of these cryptography limits the lengths, in octets.
COUNTRIES = st.text("ABCXYZ*@_", min_size=2, max_size=2)
COMMON_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=16)
SUBJECTS = st.fixed_dictionaries(
    {},
    optional={
        NameOID.COUNTRY_NAME: st.lists(COUNTRIES, max_size=3),
        NameOID.LOCALITY_NAME: st.lists(TEXT, max_size=2),
        NameOID.ORGANIZATION_NAME: st.lists(TEXT, max_size=3),
        NameOID.ORGANIZATIONAL_UNIT_NAME: st.lists(TEXT, max_size=2),
        NameOID.COMMON_NAME: st.lists(COMMON_NAMES, max_size=1),
    },
)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?", fullmatch=True)
DNS_NAMES = st.lists(st.lists(LABELS, min_size=1, max_size=4).map(".".join), max_size=5)
PATHS = st.lists(st.from_regex(r"[a-zA-Z0-9_-]{1,200}", fullmatch=True), min_size=1, max_size=4)
SECONDS = st.one_of(st.integers(0, template.LAST_SECOND), st.integers(IN_2050 - 2, IN_2050 + 2))
SERIALS = st.one_of(st.integers(1, 2**128 - 1), st.sampled_from([1, 127, 128, 255, 256, 2**127, 2**128 - 1]))
# All that Go's encoder writes as PrintableString (X.680, 41.4); everything else is UTF-8.
PRINTABLE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


def named(subject: Subject) -> x509.Name:
    def attribute(oid: x509.ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
        kind = _ASN1Type.PrintableString if set(value) <= PRINTABLE else _ASN1Type.UTF8String
        return x509.NameAttribute(oid, value, kind, _validate=False)

    order = (
        NameOID.COUNTRY_NAME,
        NameOID.LOCALITY_NAME,
        NameOID.ORGANIZATION_NAME,
        NameOID.ORGANIZATIONAL_UNIT_NAME,
        NameOID.COMMON_NAME,
    )
    return x509.Name(
        [
            x509.RelativeDistinguishedName([attribute(oid, value) for value in dict.fromkeys(values)])
            for oid in order
            if (values := subject.values.get(oid))
        ]
    )


def built(
    drawn: Template,
    subject: Subject,
    issuer: Subject,
    names: Sequence[x509.GeneralName],
    key: PublicKey,
    ca: SigningKey,
) -> x509.Certificate:
    """The same certificate from cryptography's builder."""
    server_and_client = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    name = named(subject)
    profile: list[tuple[x509.ExtensionType, bool]] = [
        (key_usage("digital_signature", "key_encipherment", "key_agreement"), True),
        (x509.ExtendedKeyUsage(server_and_client), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier(subject_key_id(ca.public_key()), None, None), False),
        (x509.SubjectAlternativeName(names), len(name) == 0),
    ]
    builder = (
        x509.CertificateBuilder()
        .serial_number(drawn.serial)
        .issuer_name(named(issuer))
        .subject_name(name)
        .not_valid_before(EPOCH + timedelta(seconds=drawn.not_before))
        .not_valid_after(EPOCH + timedelta(seconds=drawn.not_after))
        .public_key(key)
    )
    for extension, critical in profile:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(ca, signature_hash(ca))


@pytest.mark.parametrize("key_type", list(KeyType))
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_the_same_bytes_as_a_builder_from_objects(key_type: KeyType, data: st.DataObject) -> None:
    ca, key = CA_KEYS[key_type], data.draw(st.sampled_from(LEAF_KEYS))
    subject, issuer = (
        Subject({oid: tuple(dict.fromkeys(values)) for oid, values in data.draw(SUBJECTS).items()}) for _ in range(2)
    )
    spiffe_id = SpiffeId(TrustDomain("example.org"), "/" + "/".join(data.draw(PATHS)))
    dns_names = data.draw(DNS_NAMES)
    not_before, not_after = sorted(data.draw(st.tuples(SECONDS, SECONDS)))
    pkix = to_pkix(key)
    extensions = template.leaf_extensions(
        pkix_key_id(pkix),
        template.authority_key_id(subject_key_id(ca.public_key())),
        spiffe_id,
        dns_names,
        subject=subject.encode(),
    )
    drawn = Template(data.draw(SERIALS), subject.encode(), not_before, not_after, pkix, extensions)

    ours = CertificateSigner(issuer.encode(), ca).sign(drawn)
    names = [*map(x509.DNSName, dns_names), x509.UniformResourceIdentifier(str(spiffe_id))]
    theirs = built(drawn, subject, issuer, names, key, ca).public_bytes(Encoding.DER)

    # Content and algorithm; the signature itself is the same only where no random number goes into it.
    (body, algorithm, _), (their_body, their_algorithm, _) = (der.split(der.contents(one)) for one in (ours, theirs))
    assert body == their_body
    assert algorithm == their_algorithm
    if isinstance(ca, RSAPrivateKey):
        assert ours == theirs
