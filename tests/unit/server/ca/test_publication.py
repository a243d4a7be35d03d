from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.crypto.keys import to_pkix
from assay.spiffeid import TrustDomain
from assay.testing.authority import HOUR, Ca
from assay.testing.clock import START
from assay_server.ca.publication import KEEP_EXPIRED, prune, publish, published, x509_end
from assay_server.model import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot

NOW = int(START.timestamp())
HOME = TrustDomain("example.org")
PUBLIC = to_pkix(ec.generate_private_key(ec.SECP256R1()).public_key())
ROOT = Ca.create("root").der


def record(kind: AuthorityKind, document: bytes) -> AuthorityRecord:
    return AuthorityRecord(kind, Slot.A, AuthorityStatus.PREPARED, "key", "name", NOW, NOW + HOUR, document)


@pytest.mark.parametrize(
    ("kind", "document"),
    [(AuthorityKind.X509, ROOT), (AuthorityKind.JWT, PUBLIC), (AuthorityKind.WIT, PUBLIC)],
    ids=["x509", "jwt", "wit"],
)
@pytest.mark.spec("TDB-4.1.1-b", "TDB-4.1.1-c")
def test_publishing_adds_and_raises_the_sequence_once(kind: AuthorityKind, document: bytes) -> None:
    before = Bundle(HOME, (X509Authority(b"x"),), (JwtAuthority("other", b"j"),), refresh_hint=5, sequence=7)
    added = record(kind, document)
    assert not published(before, added)
    after = publish(before, added)
    assert published(after, added)
    assert after.sequence == 8
    assert after.refresh_hint == 5
    assert len(after.x509_authorities) + len(after.jwt_authorities) + len(after.wit_authorities) == 3
    assert publish(after, added) == after


def test_a_jwt_key_is_published_with_its_name_and_end() -> None:
    (key,) = publish(Bundle(HOME), record(AuthorityKind.JWT, PUBLIC)).jwt_authorities
    assert key == JwtAuthority("name", PUBLIC, NOW + HOUR)


@pytest.mark.parametrize(("late", "kept"), [(0, 2), (KEEP_EXPIRED - 1, 2), (KEEP_EXPIRED, 1)])
@pytest.mark.spec("TDB-4.1.1-c")
@pytest.mark.spec("FED-4.1-c")
def test_pruning_takes_out_what_expired_a_day_ago(late: int, kept: int) -> None:
    short, lasting = (
        X509Authority(Ca.create("short", lifetime=HOUR).der),
        X509Authority(Ca.create("l", lifetime=10**6).der),
    )
    ends = {"short": NOW + HOUR, "lasting": NOW + 10**6}
    jwt = tuple(JwtAuthority(name, b"", end) for name, end in ends.items())
    wit = tuple(WitAuthority(name, b"", end) for name, end in ends.items())
    before = Bundle(HOME, (short, lasting), jwt, sequence=7, wit_authorities=wit)
    after = prune(before, NOW + HOUR + late)
    assert len(after.x509_authorities) == len(after.jwt_authorities) == len(after.wit_authorities) == kept
    assert after.x509_authorities[-1] == lasting
    assert after.sequence == (7 if kept == 2 else 8)


def test_pruning_never_takes_the_last_root() -> None:
    before = Bundle(HOME, (X509Authority(ROOT),), sequence=7)
    assert prune(before, NOW + 10**9) == before


def test_keys_without_end_are_not_pruned() -> None:
    before = Bundle(HOME, (), (JwtAuthority("a", b""),))
    assert prune(before, NOW) == before
    assert prune(replace(before, jwt_authorities=()), NOW).sequence == 0


def test_knows_when_a_root_ends() -> None:
    assert x509_end(X509Authority(Ca.create("a", lifetime=HOUR).der)) == NOW + HOUR


@pytest.mark.spec("WIT-6.1-a", "WIT-6.1-b")
def test_a_wit_key_is_published_with_its_name_and_end() -> None:
    (key,) = publish(Bundle(HOME), record(AuthorityKind.WIT, PUBLIC)).wit_authorities
    assert key == WitAuthority("name", PUBLIC, NOW + HOUR)


@pytest.mark.spec("WIT-6.2-a")
def test_one_kind_of_key_is_not_published_as_another() -> None:
    bundle = publish(Bundle(HOME), record(AuthorityKind.JWT, PUBLIC))
    assert not published(bundle, record(AuthorityKind.WIT, PUBLIC))
    assert bundle.wit_authorities == ()
