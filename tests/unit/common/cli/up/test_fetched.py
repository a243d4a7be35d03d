from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from assay.cli.up.fetched import Fetched, verified
from assay.errors import AssayError
from assay.svid import X509Svid
from assay.testing.authority import Authority
from assay.testing.clock import START
from assay.workloadapi.values import HintedJwtSvid, HintedX509Svid, X509Context

NOW = START + timedelta(seconds=5)


def check(
    authority: Authority, svids: Sequence[X509Svid], tokens: Sequence[HintedJwtSvid], now: datetime = NOW
) -> Fetched:
    context = X509Context(tuple(map(HintedX509Svid, svids)), {})
    return verified(context, tuple(tokens), authority.bundle, expected=authority.id("/user/me"), audience="up", now=now)


def token(authority: Authority, path: str = "/user/me", audience: str = "up") -> HintedJwtSvid:
    return HintedJwtSvid(authority.id("/user/me"), authority.jwt_svid(path, [audience]))


def test_both_svids_are_checked_and_their_rotation_is_half_way() -> None:
    authority = Authority()
    other, mine = authority.x509_svid("/other"), authority.x509_svid("/user/me")
    fetched = check(authority, [other, mine], [token(authority)])
    assert fetched.x509 == mine
    assert fetched.jwt.spiffe_id == authority.id("/user/me")
    assert fetched.rotates_at == START + timedelta(seconds=(3600 - 10) / 2)


def test_what_is_missing_is_said() -> None:
    authority = Authority()
    with pytest.raises(AssayError, match=r"gave no SVID for spiffe://example\.org/user/me"):
        check(authority, [authority.x509_svid("/other")], [token(authority)])
    with pytest.raises(AssayError, match="gave no SVID"):
        check(authority, [authority.x509_svid("/user/me")], [])


def test_what_the_bundle_does_not_vouch_for_is_refused() -> None:
    authority, impostor = Authority(), Authority()
    right = authority.x509_svid("/user/me")
    with pytest.raises(AssayError):
        check(authority, [impostor.x509_svid("/user/me")], [token(authority)])
    with pytest.raises(AssayError):
        check(authority, [right], [token(impostor)])
    with pytest.raises(AssayError):
        check(authority, [right], [token(authority, audience="somebody")])
    with pytest.raises(AssayError, match=r"is of spiffe://example\.org/other"):
        check(authority, [right], [token(authority, "/other")])
    with pytest.raises(AssayError):
        check(authority, [right], [token(authority)], START + timedelta(hours=2))
