from dataclasses import replace

import pytest

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.errors import InvalidArgumentError
from assay.spiffeid import TrustDomain
from assay_server.registration.bundle_change import appended, check_key_ids

TD = TrustDomain("north.test")
ONE, TWO = X509Authority(b"one"), X509Authority(b"two")
KEY, OTHER_KEY = JwtAuthority("k1", b"key"), JwtAuthority("k2", b"key")
STORED = Bundle(TD, (ONE,), (KEY,), refresh_hint=60, sequence=5)


@pytest.mark.spec("TDB-4.1.1-b", "TDB-4.1.1-c")
def test_new_contents_take_the_next_number_and_the_last_there_is_stays() -> None:
    assert appended(STORED, [TWO], []).sequence == 6
    assert appended(replace(STORED, sequence=2**64 - 1), [TWO], []).sequence == 2**64 - 1


def test_appending_adds_what_is_missing_at_the_end_once() -> None:
    bundle = appended(STORED, [ONE, TWO, TWO], [KEY, OTHER_KEY, OTHER_KEY])
    assert bundle == replace(STORED, x509_authorities=(ONE, TWO), jwt_authorities=(KEY, OTHER_KEY), sequence=6)
    assert appended(bundle, [TWO], [OTHER_KEY]) is bundle


def test_a_tainted_authority_is_not_appended_again_as_a_sound_one() -> None:
    tainted = replace(STORED, x509_authorities=(replace(ONE, tainted=True),))
    assert appended(tainted, [ONE], []) is tainted


def test_wit_authorities_are_appended_likewise() -> None:
    one, two = WitAuthority("w1", b"key"), WitAuthority("w2", b"key")
    bundle = appended(replace(STORED, wit_authorities=(one,)), [], [], [one, two, two])
    assert (bundle.wit_authorities, bundle.sequence) == ((one, two), 6)
    assert appended(bundle, [], [], [two]) is bundle


@pytest.mark.spec("WIT-6.1-c")
def test_a_key_id_names_one_key_in_the_whole_bundle() -> None:
    check_key_ids(replace(STORED, wit_authorities=(WitAuthority("K1", b"key"),)))
    with pytest.raises(InvalidArgumentError, match='key ID "k1" is that of a JWT authority and of a WIT authority'):
        check_key_ids(replace(STORED, wit_authorities=(WitAuthority("k1", b"key"),)))
    with pytest.raises(InvalidArgumentError, match="k1"):
        appended(STORED, [], [], [WitAuthority("k1", b"key")])
