"""Certificates that were altered after they were signed, or signed in forms that DER does not have: never valid.

What can be written otherwise is the signature around the content, which stays as it was.
"""

from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtensionOID

from assay.crypto import der
from assay.errors import AssayError, InvalidArgumentError
from assay.spiffeid import SpiffeId
from assay.svid import X509Svid
from assay.svid.refusal import Reason, SvidRefusedError
from assay.svid.x509 import verify
from assay.testing.authority import Authority, Ca, Extensions, leaf_extensions
from assay.testing.clock import START

pytestmark = pytest.mark.filterwarnings("ignore")  # cryptography remarks upon odd certificates

HOME = Authority()
BUNDLES = {HOME.trust_domain: HOME.bundle}
MIDDLE = Ca.create("middle", issuer=HOME.root)
SVID = HOME.x509_svid(issuer=MIDDLE)
LEAF = SVID.chain[0]
ID = str(SVID.spiffe_id)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def check(leaf: bytes, issuer: bytes = MIDDLE.der) -> SpiffeId:
    return verify([leaf, issuer], BUNDLES, START)


def accepted(chains: Iterator[list[bytes]]) -> list[str]:
    """Those that pass with other content; whatever is raised but a refusal fails the test."""
    passed: list[str] = []
    for chain in chains:
        try:
            spiffe_id = verify(chain, BUNDLES, START)
        except SvidRefusedError:
            continue
        if spiffe_id != SVID.spiffe_id or [content(one) for one in chain] != CONTENT:
            passed.append(f"{spiffe_id} {[one.hex() for one in chain]}")
    return passed


def content(certificate: bytes) -> tuple[bytes, object]:
    loaded = x509.load_der_x509_certificate(certificate)
    # How the signature around it is written may differ: a last bit that is zero can be left unsaid.
    return loaded.tbs_certificate_bytes, loaded.signature_algorithm_oid


CONTENT = [content(one) for one in SVID.chain]


def altered(data: bytes) -> Iterator[bytes]:
    """Each byte changed in three ways, lost, and doubled; the whole cut short and drawn out."""
    for at, octet in enumerate(data):
        for changed in {octet ^ 1, octet ^ 0x80, octet ^ 0xFF}:
            yield data[:at] + bytes((changed,)) + data[at + 1 :]
        yield data[:at] + data[at + 1 :]
        yield data[:at] + bytes((octet, octet)) + data[at + 1 :]
        yield data[:at]
    yield data + b"\0"
    yield data + data


def test_what_is_altered_here_is_valid_before() -> None:
    assert check(LEAF) == SVID.spiffe_id


@pytest.mark.spec("X509-5.1-a", "ID-3.2-a")
def test_no_altered_leaf_passes() -> None:
    assert accepted([one, MIDDLE.der] for one in altered(LEAF)) == []


@pytest.mark.spec("X509-5.1-a")
def test_no_altered_intermediate_passes() -> None:
    assert accepted([LEAF, one] for one in altered(MIDDLE.der)) == []


def test_an_altered_certificate_is_never_an_own_svid_of_another_name() -> None:
    """Own SVIDs come from the agent and are read without their signatures: still nothing but typed errors."""
    for one in altered(LEAF):
        try:
            read = X509Svid.parse([one, MIDDLE.der], SVID.key)
        except AssayError:
            continue
        assert read.spiffe_id.path


def parts(certificate: bytes) -> list[bytes]:
    return list(der.split(der.contents(certificate)))


def long_form(element: bytes) -> bytes:
    """The same element, its length with a zero in front: BER, and not DER."""
    content = der.contents(element)
    size = len(content).to_bytes(4, "big")
    return bytes((element[0], 0x84)) + size + content


def indefinite(element: bytes) -> bytes:
    return bytes((element[0], 0x80)) + der.contents(element) + b"\0\0"


def sign(body: bytes, algorithm: bytes | None = None) -> bytes:
    """A certificate of this body, validly signed by the intermediate."""
    signature = MIDDLE.key.sign(body, ec.ECDSA(SHA256()))
    return der.sequence(body, algorithm or parts(LEAF)[1], der.bit_string(signature))


def test_signing_anew_makes_a_valid_one() -> None:
    assert check(sign(parts(LEAF)[0])) == SVID.spiffe_id


@pytest.mark.parametrize("form", [long_form, indefinite])
def test_lengths_that_are_not_der_are_refused(form: object) -> None:
    body, algorithm, signature = parts(LEAF)
    assert callable(form)
    for leaf in (
        form(LEAF),
        der.sequence(form(body), algorithm, signature),
        der.sequence(body, form(algorithm), signature),
        der.sequence(body, algorithm, form(signature)),
        sign(form(body)),
    ):
        assert accepted(iter([[leaf, MIDDLE.der]])) == []


def test_members_that_are_not_there_or_twice_are_refused() -> None:
    body, algorithm, signature = parts(LEAF)
    members = list(der.split(der.contents(body)))
    for leaf in (
        der.sequence(body, algorithm),
        der.sequence(body, algorithm, signature, signature),
        der.sequence(body, body, algorithm, signature),
        *(sign(der.sequence(*members[:at], *members[at + 1 :])) for at in range(len(members))),
        *(sign(der.sequence(*members[: at + 1], *members[at:])) for at in range(len(members))),
    ):
        assert accepted(iter([[leaf, MIDDLE.der]])) == []


def test_the_two_names_of_the_algorithm_agree() -> None:
    sha_384 = der.sequence(der.object_identifier("1.2.840.10045.4.3.3"))
    assert accepted(iter([[sign(parts(LEAF)[0], sha_384), MIDDLE.der]])) == []


def with_extensions(*more: bytes) -> bytes:
    """The leaf's body with these extensions after its own."""
    members = list(der.split(der.contents(parts(LEAF)[0])))
    own = der.split(der.contents(der.contents(members[-1])))
    members[-1] = der.element(members[-1][0], der.sequence(*own, *more))
    return der.sequence(*members)


def extension(oid: x509.ObjectIdentifier, value: bytes) -> bytes:
    return der.sequence(der.object_identifier(oid.dotted_string), der.element(der.OCTET_STRING, value))


def uri_names(*uris: bytes) -> bytes:
    return der.sequence(*(der.element(0x86, uri) for uri in uris))


@pytest.mark.parametrize(
    "more",
    [
        extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, uri_names(b"spiffe://example.org/admin")),
        extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, uri_names(ID.encode())),
        extension(ExtensionOID.BASIC_CONSTRAINTS, der.sequence()),
        extension(ExtensionOID.KEY_USAGE, b"\x03\x02\x07\x80"),
    ],
    ids=["other name", "same name", "constraints", "usage"],
)
@pytest.mark.spec("X509-5.1-a", "X509-5.2-e")
def test_an_extension_twice_is_refused_though_it_is_signed(more: bytes) -> None:
    with pytest.raises(SvidRefusedError) as caught:
        check(sign(with_extensions(more)))
    assert caught.value.reason is Reason.MALFORMED


def signed(extensions: Extensions) -> bytes:
    return MIDDLE.issue(extensions)[0]


def raw(oid: x509.ObjectIdentifier, value: bytes) -> x509.ExtensionType:
    return x509.UnrecognizedExtension(oid, value)


@pytest.mark.parametrize(
    "name",
    [
        *(b"spiffe://example.org/work\0load", b"spiffe://example.org/x\0", b"\0spiffe://example.org/x", b"", b"\xff"),
        *(b"spiffe://example.org/w\xc3\xb6rk", b"spiffe://ex\xc3\xa4mple.org/x", b"spiffe://example.org/x\n"),
        *(b"spiffe://example.org/x?", b"spiffe://example.org/x#", b"spiffe://example.org:443/x", b"spiffe://a@b/x"),
        *(b"spiffe://example.org/%41", b"spiffe://example.org/a/./b", b"SPIFFE://example.org/x", b"spiffe:///x"),
        b"spiffe://example.org/" + b"x" * 2048,
    ],
)
@pytest.mark.spec("X509-5.2-c", "X509-5.2-d", "ID-2-b", "ID-2-c", "ID-2.1-b", "ID-2.1-e", "ID-2.2-a", "ID-2.2-c")
def test_names_that_are_no_spiffe_id_are_refused_byte_for_byte(name: bytes) -> None:
    extensions = leaf_extensions()
    names = raw(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, uri_names(name))
    with pytest.raises(SvidRefusedError) as caught:
        check(signed([*extensions, (names, False)]))
    assert caught.value.reason in {Reason.NOT_AN_SVID, Reason.MALFORMED}


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (ExtensionOID.BASIC_CONSTRAINTS, bytes.fromhex("3003010101")),  # true that is not 0xff
        (ExtensionOID.BASIC_CONSTRAINTS, bytes.fromhex("300301017f")),
        (ExtensionOID.BASIC_CONSTRAINTS, bytes.fromhex("30800101ff0000")),
        (ExtensionOID.BASIC_CONSTRAINTS, bytes.fromhex("3081030101ff")),
        (ExtensionOID.BASIC_CONSTRAINTS, bytes.fromhex("30030101ff00")),
        (ExtensionOID.KEY_USAGE, bytes.fromhex("03020204")),  # keyCertSign
        (ExtensionOID.KEY_USAGE, bytes.fromhex("0303000400")),  # the same, with zeros after it
        (ExtensionOID.KEY_USAGE, bytes.fromhex("0381020204")),
        (ExtensionOID.KEY_USAGE, bytes.fromhex("2304030202" + "04")),  # in pieces
    ],
)
@pytest.mark.spec("X509-5.2-a", "X509-5.2-b")
def test_a_right_to_sign_is_not_hidden_by_its_encoding(oid: x509.ObjectIdentifier, value: bytes) -> None:
    extensions = [one for one in leaf_extensions(ID) if one[0].oid != oid]
    with pytest.raises(SvidRefusedError):
        check(signed([*extensions, (raw(oid, value), True)]))


def test_the_other_signature_of_a_pair_says_the_same() -> None:
    body, algorithm, signature = parts(LEAF)
    r, s = decode_dss_signature(der.contents(signature)[1:])
    assert check(der.sequence(body, algorithm, der.bit_string(encode_dss_signature(r, ORDER - s)))) == SVID.spiffe_id


@pytest.mark.parametrize(("r", "s"), [(0, 0), (0, 1), (1, 0), (ORDER, ORDER), (1, 1), (2**256, 1)])
def test_signatures_of_nothing_are_refused(r: int, s: int) -> None:
    body, algorithm, _ = parts(LEAF)
    assert (
        accepted(iter([[der.sequence(body, algorithm, der.bit_string(encode_dss_signature(r, s))), MIDDLE.der]])) == []
    )


def test_numbers_of_a_signature_have_one_form() -> None:
    body, algorithm, signature = parts(LEAF)
    r, s = decode_dss_signature(der.contents(signature)[1:])
    size = (s.bit_length() + 7) // 8
    padded = der.element(der.INTEGER, b"\0\0" + s.to_bytes(size, "big"))
    for numbers in (
        der.sequence(der.integer(r), padded),
        der.sequence(der.integer(r), der.integer(s)) + b"\0",
        der.sequence(der.integer(r), der.integer(s + ORDER)),
        der.sequence(der.integer(r), der.integer(s), der.integer(s)),
        long_form(der.sequence(der.integer(r), der.integer(s))),
    ):
        assert accepted(iter([[der.sequence(body, algorithm, der.bit_string(numbers)), MIDDLE.der]])) == []


@pytest.mark.parametrize("years", [(b"0000", b"2030"), (b"2020", b"0000"), (b"2051", b"0000")])
def test_dates_that_no_calendar_has_are_refused(years: tuple[bytes, bytes]) -> None:
    members = list(der.split(der.contents(parts(LEAF)[0])))
    members[4] = der.sequence(*(der.element(der.GENERALIZED_TIME, year + b"0101000000Z") for year in years))
    leaf = sign(der.sequence(*members))
    with pytest.raises(SvidRefusedError) as caught:
        check(leaf)
    assert caught.value.reason is Reason.MALFORMED
    with pytest.raises(InvalidArgumentError, match="malformed certificate"):
        X509Svid.parse([leaf])
