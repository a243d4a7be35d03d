"""Keys that tokens are signed with, and what becomes of what they signed."""

import pytest

from assay.bundle import JwtAuthority
from assay.testing.authority import Authority
from assay_agent.cache.signers import Signers, key_id


def signers(sound: str = "", tainted: str = "") -> Signers:
    return Signers.of(
        [*(JwtAuthority(one, b"") for one in sound), *(JwtAuthority(one, b"", 0, True) for one in tainted)]
    )


def test_the_key_is_what_the_header_names() -> None:
    authority = Authority()
    assert key_id(authority.jwt_svid("/a", ["db"])) == authority.jwt_key_id
    assert key_id(authority.wit_svid("/a")) == authority.wit_key_id


@pytest.mark.parametrize(
    "token",
    ["", ".", "token 1", "e30.e30.", "bnVsbA.x.y", "W10.x.y", "eyJraWQiOjV9.x.y", "é.x.y", "[" * 9000, "W1tb" * 1000],
)
def test_what_names_no_key_has_none(token: str) -> None:
    assert key_id(token) == ""


def test_what_is_tainted_or_gone_is_lost_and_what_is_new_is_not() -> None:
    before = signers("abc", "x")
    assert signers("abc", "x").lost_since(before) == {"x"}
    assert signers("abcd", "").lost_since(before) == set()
    assert signers("bd", "c").lost_since(before) == {"a", "c"}
    assert signers("a").lost_since(Signers()) == set()
