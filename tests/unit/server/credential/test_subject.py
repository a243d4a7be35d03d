import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from assay.crypto import der
from assay_server.credential.subject import DEFAULT_CA_SUBJECT, DEFAULT_SVID_SUBJECT, EMPTY, Subject

SPIRE_LEAF = (Path(__file__).parent / "spire-leaf.pem").read_bytes()


def test_the_default_is_spires_to_the_byte() -> None:
    leaf = x509.load_pem_x509_certificate(SPIRE_LEAF)
    spires = der.split(der.contents(leaf.tbs_certificate_bytes))[5]
    assert DEFAULT_SVID_SUBJECT.with_common_name("a.example.org").encode() == spires


def test_attributes_come_in_gos_order_whatever_the_requests() -> None:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "7"),
            x509.NameAttribute(NameOID.COMMON_NAME, "web"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "unit"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "org"),
            x509.NameAttribute(NameOID.POSTAL_CODE, "1"),
            x509.NameAttribute(NameOID.STREET_ADDRESS, "street"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "town"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "state"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        ]
    )
    values = [attribute.value for attribute in _decode(Subject.from_name(name))]
    assert values == ["US", "state", "town", "street", "1", "org", "unit", "web", "7"]


def test_attributes_that_go_does_not_know_are_left_out() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@b"), x509.NameAttribute(NameOID.USER_ID, "u")])
    assert Subject.from_name(name).encode() == EMPTY


def test_values_of_one_attribute_share_a_set() -> None:
    subject = Subject.of(organization=["b", "a"])
    (rdn,) = _decode(subject).rdns
    assert {attribute.value for attribute in rdn} == {"a", "b"}


def test_text_is_printable_where_it_can_be_and_utf8_otherwise() -> None:
    assert b"\x13\x03web" in Subject.of(common_name="web").encode()
    assert b"\x0c\x05*.a.b" in Subject.of(common_name="*.a.b").encode()
    assert "\u00fc".encode() in Subject.of(common_name="\u00fc").encode()


def test_a_common_name_may_be_as_long_as_a_dns_name() -> None:
    name = ".".join(["a" * 60] * 4)
    assert name.encode() in Subject.of(common_name=name).encode()


def test_a_serial_number_is_kept_or_added() -> None:
    added = DEFAULT_CA_SUBJECT.with_serial_number(7)
    assert [attribute.value for attribute in _decode(added)] == ["US", "SPIFFE", "7"]
    assert added.with_serial_number(8) == added


@pytest.mark.parametrize("subject", [DEFAULT_CA_SUBJECT, Subject.of(country=["CH", "AT"], common_name="\u00fc*")])
def test_openssl_reads_it(subject: Subject) -> None:
    shown = subprocess.run(
        ["openssl", "asn1parse", "-inform", "DER"], input=subject.encode(), capture_output=True, check=True
    )
    assert b"countryName" in shown.stdout


def _decode(subject: Subject) -> x509.Name:
    """What cryptography reads: the subject inside a certificate of SPIRE's, put in the place of its own."""
    leaf = x509.load_pem_x509_certificate(SPIRE_LEAF)
    body, algorithm, signature = der.split(der.contents(leaf.public_bytes(Encoding.DER)))
    members = list(der.split(der.contents(body)))
    members[5] = subject.encode()
    return x509.load_der_x509_certificate(der.sequence(der.sequence(*members), algorithm, signature)).subject
