"""The last look at many leaves: beside the whole look at each of them, and after one that was as it should be."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from assay.crypto import der
from assay.crypto.keys import to_pkix
from assay.spiffeid import SpiffeId
from assay.testing.authority import Authority, Extensions, ca_extensions, key_usage, leaf_extensions, subject
from assay.testing.clock import START
from assay_server.credential.lastlook import LeafLook
from assay_server.credential.validate import InvalidCredentialError, check_leaf

WEB = SpiffeId.parse("spiffe://example.org/web")
OTHER = SpiffeId.parse("spiffe://example.org/other")
KEY = to_pkix(ec.generate_private_key(ec.SECP256R1()).public_key())
URI, DNS = x509.UniformResourceIdentifier, x509.DNSName


@pytest.fixture(scope="module")
def home() -> Authority:
    return Authority()


def profile(spiffe_id: SpiffeId = WEB, dns_names: Sequence[str] = ("a.b",)) -> Extensions:
    """What our leaves have, the names last; `issue` begins with the keys' identifiers."""
    *usages, _ = leaf_extensions(str(spiffe_id))
    names = x509.SubjectAlternativeName([*(DNS(name) for name in dns_names), URI(str(spiffe_id))])
    return [*usages, (names, False)]


def issue(home: Authority, extensions: Extensions, *, name: str = "leaf", lifetime: int = 3600) -> tuple[bytes, bytes]:
    leaf, key = home.root.issue(extensions, name=subject(name), lifetime=lifetime)
    return leaf, to_pkix(key.public_key())


def verdicts(
    home: Authority,
    leaf: bytes,
    public_key: bytes,
    *,
    spiffe_id: SpiffeId = WEB,
    dns_names: Sequence[str] = ("a.b",),
    later: int = 0,
    look: LeafLook | None = None,
) -> tuple[str, str]:
    """What a look says that has passed such a leaf before, and what the whole look says; empty when it passes."""
    look = look or experienced(home)
    now = START + timedelta(seconds=later)
    signer = home.root.certificate

    def known() -> None:
        look.check(leaf, spiffe_id=spiffe_id, dns_names=dns_names, public_key=public_key, now=now)

    def whole() -> None:
        check_leaf(leaf, spiffe_id=spiffe_id, dns_names=dns_names, public_key=public_key, signer=signer, now=now)

    said: list[str] = []
    for check in (known, whole):
        try:
            check()
        except InvalidCredentialError as error:
            said.append(str(error))
        else:
            said.append("")
    return said[0], said[1]


def experienced(home: Authority) -> LeafLook:
    look = LeafLook(home.root.certificate)
    for spiffe_id in (WEB, OTHER):
        leaf, key = issue(home, profile(spiffe_id))
        look.check(leaf, spiffe_id=spiffe_id, dns_names=["a.b"], public_key=key, now=START)
    return look


def altered(data: bytes) -> Iterator[bytes]:
    for place, octet in enumerate(data):
        for other in (octet ^ 1, octet ^ 0x80, octet ^ 0xFF):
            yield data[:place] + bytes((other,)) + data[place + 1 :]
        yield data[:place] + data[place + 1 :]
        yield data[:place] + b"\0" + data[place:]
    yield data + b"\0"


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_no_octet_can_be_other_than_the_whole_look_would_have_it(home: Authority) -> None:
    leaf, key = issue(home, profile())
    look = experienced(home)
    passed = 0
    for other in altered(leaf):
        known, whole = verdicts(home, other, key, look=look)
        assert known == whole
        passed += known == ""
    # Serial number, key identifier and signature are nobody's to foresee.
    assert passed > 20


@pytest.mark.parametrize("beginning", [b"\0\0", b"\0\1", b"\0\x7f", b"\0\x80", b"\x7f\xff", b"\x80\0", b"\xff\x80"])
@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_a_serial_number_is_read_as_the_whole_look_reads_it(home: Authority, beginning: bytes) -> None:
    leaf, key = issue(home, profile())
    number = x509.load_der_x509_certificate(leaf).serial_number
    serial = number.to_bytes(number.bit_length() // 8 + 1)
    known, whole = verdicts(home, leaf.replace(serial, beginning + serial[2:], 1), key)
    assert known == whole
    # Two octets where one would do are not DER.
    assert (whole == "") == (beginning in {b"\0\x80", b"\x7f\xff", b"\x80\0"})


def test_what_is_asked_for_is_asked_of_each(home: Authority) -> None:
    leaf, key = issue(home, profile())
    assert verdicts(home, leaf, key) == ("", "")
    for difference in (
        {"public_key": KEY},
        {"spiffe_id": OTHER},
        {"spiffe_id": SpiffeId.parse("spiffe://example.org/we")},
        {"spiffe_id": SpiffeId.parse("spiffe://example.org/webs")},
        {"dns_names": ()},
        {"dns_names": ("a.b", "a.b")},
        {"dns_names": ("a.c",)},
        {"later": -11},
        {"later": 3601},
    ):
        known, whole = verdicts(home, leaf, **{"public_key": key, **difference})  # type: ignore[arg-type]
        assert known == whole != ""


@pytest.mark.parametrize(
    "extensions",
    [
        [*profile()[:-1], (x509.SubjectAlternativeName([DNS("a.b"), URI(str(OTHER))]), False)],
        [*profile()[:-1], (x509.SubjectAlternativeName([DNS("a.b"), URI(str(WEB)), URI(str(WEB))]), False)],
        [*profile()[:-1], (x509.SubjectAlternativeName([DNS("a.b"), DNS(str(WEB))]), False)],
        profile()[:-1],
        profile()[1:],
        [(x509.BasicConstraints(ca=True, path_length=None), True), *profile()[1:]],
        [*profile()[:1], (key_usage("digital_signature", "crl_sign"), True), *profile()[2:]],
        [*ca_extensions(), *profile()[2:]],
    ],
)
def test_a_leaf_of_another_form_gets_the_whole_look(home: Authority, extensions: Extensions) -> None:
    leaf, key = issue(home, extensions)
    known, whole = verdicts(home, leaf, key)
    assert known == whole != ""


def test_an_empty_subject_needs_critical_names(home: Authority) -> None:
    leaf, key = issue(home, profile(), name="")
    assert verdicts(home, leaf, key) == ("names are not critical though the subject is empty",) * 2
    critical = [*profile()[:-1], (profile()[-1][0], True)]
    for _ in range(2):
        assert verdicts(home, *issue(home, critical, name="")) == ("", "")


def test_a_leaf_that_outlives_its_signer_does_not_leave(home: Authority) -> None:
    leaf, key = issue(home, profile(), lifetime=24 * 3600 + 1)
    assert verdicts(home, leaf, key) == ("outlives its signer",) * 2


def test_an_id_without_path_does_not_leave(home: Authority) -> None:
    whole = SpiffeId.parse("spiffe://example.org")
    leaf, key = issue(home, profile(whole))
    assert verdicts(home, leaf, key, spiffe_id=whole) == ("SPIFFE ID has no path",) * 2


def test_what_does_not_parse_does_not_leave(home: Authority) -> None:
    for junk in (b"junk", der.sequence(), bytes(400)):
        known, whole = verdicts(home, junk, KEY)
        assert known == whole != ""


def test_many_forms_are_not_all_remembered(home: Authority) -> None:
    look = LeafLook(home.root.certificate)
    for number in range(200):
        assert verdicts(home, *issue(home, profile(), name=f"leaf {number}"), look=look) == ("", "")
    assert 1 < look.forms < 100
