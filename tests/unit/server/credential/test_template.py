"""Contents of certificates, compared byte for byte with what a SPIRE server signed."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from assay.crypto import der
from assay.crypto.keys import accepted, to_pkix
from assay.crypto.ski import subject_key_id
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.credential import template
from assay_server.credential.sign import CertificateSigner
from assay_server.credential.subject import DEFAULT_CA_SUBJECT, DEFAULT_SVID_SUBJECT

FOLDER = Path(__file__).parent
LEAF = x509.load_pem_x509_certificate((FOLDER / "spire-leaf.pem").read_bytes())
CA = x509.load_pem_x509_certificate((FOLDER / "spire-ca.pem").read_bytes())
KEY = ec.generate_private_key(ec.SECP256R1())


def end(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp())


def issued(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_before_utc.timestamp()) + template.BACKDATE


def test_a_leafs_content_is_spires_to_the_byte() -> None:
    public_key = accepted(LEAF.public_key())
    dns_names = ("a.example.org", "b.example.org")
    subject = DEFAULT_SVID_SUBJECT.with_common_name(dns_names[0]).encode()
    extensions = template.leaf_extensions(
        subject_key_id(public_key),
        template.authority_key_id(subject_key_id(accepted(CA.public_key()))),
        SpiffeId.parse("spiffe://example.org/w"),
        dns_names,
        subject=subject,
    )
    not_before, not_after = template.lifetime(issued(LEAF), end(LEAF) - issued(LEAF), 0)
    drawn = template.Template(LEAF.serial_number, subject, not_before, not_after, to_pkix(public_key), extensions)
    issuer = der.split(der.contents(CA.tbs_certificate_bytes))[5]
    signed = x509.load_der_x509_certificate(CertificateSigner(issuer, KEY).sign(drawn))
    assert signed.tbs_certificate_bytes == LEAF.tbs_certificate_bytes


def test_a_cas_content_is_spires_to_the_byte() -> None:
    public_key = accepted(CA.public_key())
    drawn = template.self_signed_ca(
        TrustDomain("example.org"),
        subject_key_id(public_key),
        to_pkix(public_key),
        DEFAULT_CA_SUBJECT.with_serial_number(CA.serial_number),
        now=issued(CA),
        ttl=end(CA) - issued(CA),
    )
    signed = x509.load_der_x509_certificate(CertificateSigner(drawn.subject, KEY).sign(drawn))
    # All but the serial number, which is drawn anew.
    ours, spires = (der.split(der.contents(one.tbs_certificate_bytes)) for one in (signed, CA))
    assert [*ours[:1], *ours[2:]] == [*spires[:1], *spires[2:]]


def test_a_cas_subject_names_its_serial_number() -> None:
    drawn = template.self_signed_ca(TrustDomain("td"), b"k", b"", DEFAULT_CA_SUBJECT, now=0, ttl=1)
    assert str(drawn.serial).encode() in drawn.subject


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(1, 2**62), st.integers(0, template.LAST_SECOND))
def test_lifetimes_begin_ten_seconds_ago_and_never_pass_the_signers(now: int, ttl: int, default: int, cap: int) -> None:
    not_before, not_after = template.lifetime(now, ttl, default, cap)
    assert not_before == now - 10
    assert not_after == min(now + (ttl or default), cap)


def test_no_lifetime_passes_what_a_certificate_can_say() -> None:
    assert template.lifetime(0, 2**63, 0) == (-10, template.LAST_SECOND)


def test_a_lifetime_below_zero_is_the_default() -> None:
    assert template.lifetime(0, -1, 3600) == (-10, 3600)


def test_serial_numbers_are_random_and_have_128_bits_at_most() -> None:
    serials = {template.new_serial() for _ in range(1000)}
    assert len(serials) == 1000
    assert all(0 < serial < 2**128 for serial in serials)
    assert max(serials) > 2**120


@pytest.mark.spec("X509-3.1-c")
def test_names_are_critical_exactly_when_the_subject_is_empty() -> None:
    spiffe_id = SpiffeId.parse("spiffe://td/x")
    for subject, critical in ((der.sequence(), True), (DEFAULT_SVID_SUBJECT.encode(), False)):
        extensions = template.leaf_extensions(b"k" * 20, b"", spiffe_id, (), subject=subject)
        names = next(one for one in der.split(extensions) if b"spiffe://td/x" in one)
        assert (der.TRUE in names) is critical
