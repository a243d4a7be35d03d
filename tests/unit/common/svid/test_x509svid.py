import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.crypto import der
from assay.crypto.keys import to_pkix
from assay.errors import InvalidArgumentError
from assay.svid import X509Svid
from assay.testing.authority import HOUR, Authority, Ca, leaf_extensions
from assay.testing.clock import START

NOW = int(START.timestamp())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def test_knows_its_id_and_dates(authority: Authority) -> None:
    svid = authority.x509_svid("/a")
    assert str(svid.spiffe_id) == "spiffe://example.org/a"
    assert (svid.not_before, svid.not_after) == (NOW - 10, NOW + HOUR)
    assert int(svid.serial) == svid.leaf.serial_number


def test_goes_through_pem_and_back(authority: Authority) -> None:
    middle = Ca.create("middle", issuer=authority.root)
    svid = authority.x509_svid(issuer=middle)
    again = X509Svid.from_pem(svid.chain_pem(), svid.key_pem())
    assert again == svid
    assert again.key_pkcs8 == svid.key_pkcs8
    assert len(again.chain) == 2


def test_goes_through_der_and_back(authority: Authority) -> None:
    svid = authority.x509_svid()
    again = X509Svid.parse(svid.chain, svid.key_pkcs8)
    assert again == svid
    assert again.key_pkcs8 == svid.key_pkcs8


def test_a_key_belongs_however_the_leaf_writes_it(authority: Authority) -> None:
    svid = authority.x509_svid()
    assert svid.key is not None
    whole = to_pkix(svid.key.public_key())
    body, *end = der.split(der.contents(svid.chain[0]))
    members = list(der.split(der.contents(body)))
    point = svid.leaf.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    members[6] = der.sequence(der.part(der.contents(whole), 0), der.bit_string(point))
    compressed = der.sequence(der.sequence(*members), *end)
    assert X509Svid.parse([compressed], svid.key).key is svid.key
    with pytest.raises(InvalidArgumentError, match="does not belong"):
        X509Svid.parse([compressed], ec.generate_private_key(ec.SECP256R1()))


def test_may_come_without_its_key(authority: Authority) -> None:
    svid = X509Svid.parse(authority.x509_svid().chain)
    assert svid.key is None
    with pytest.raises(InvalidArgumentError, match="no private key"):
        _ = svid.key_pkcs8
    with pytest.raises(InvalidArgumentError, match="no private key"):
        svid.key_pem()
    assert X509Svid.from_pem(svid.chain_pem()) == svid


def test_refuses_the_key_of_another(authority: Authority) -> None:
    with pytest.raises(InvalidArgumentError, match="does not belong"):
        X509Svid.parse(authority.x509_svid().chain, ec.generate_private_key(ec.SECP256R1()))


@pytest.mark.parametrize("chain", [[], [b"junk"]])
def test_refuses_what_is_no_chain(chain: list[bytes]) -> None:
    with pytest.raises(InvalidArgumentError):
        X509Svid.parse(chain)


def test_refuses_a_leaf_that_is_no_svid(authority: Authority) -> None:
    leaf, _ = authority.root.issue(leaf_extensions("https://example.org/x"))
    with pytest.raises(InvalidArgumentError, match="scheme"):
        X509Svid.parse([leaf])


@pytest.mark.parametrize(("chain", "key"), [(b"", None), (b"junk", None), (None, b"junk")])
def test_refuses_what_is_no_pem(authority: Authority, chain: bytes | None, key: bytes | None) -> None:
    with pytest.raises(InvalidArgumentError, match="not a PEM chain and key"):
        X509Svid.from_pem(authority.x509_svid().chain_pem() if chain is None else chain, key)


def test_shows_no_key(authority: Authority) -> None:
    assert "key" not in repr(authority.x509_svid())
