"""Token Status Lists: the draft's vectors byte for byte, and what a verifier must not take for a status."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import statuslist
from assay.errors import InvalidArgumentError
from assay.statuslist import MAX_LIST, StatusList, StatusListCache, StatusListToken, StatusUnknownError, claims, verify
from assay.svid import compact
from assay.testing.authority import Authority

NOW = 1_800_000_000
URI = "https://as.example/status/3"
VECTORS = json.loads((Path(__file__).parent / "status" / "vectors.json").read_text())
SHORT = [
    (1, [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1], "b9a3", "eNrbuRgAAhcBXQ", "78dadbb918000217015d"),
    (2, [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3], "c944f9", "eNo76fITAAPfAgc", "78da3be9f2130003df0207"),
]


def lst(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize(("bits", "values", "plain", "text", "compressed"), SHORT)
def test_the_drafts_short_lists(bits: int, values: list[int], plain: str, text: str, compressed: str) -> None:
    made = StatusList.of(bits, len(values), dict(enumerate(values)))
    assert made.data.hex() == plain
    assert made.claim() == {"bits": bits, "lst": text}
    assert base64.urlsafe_b64decode(text + "==").hex() == compressed
    read = StatusList.parse({"bits": bits, "lst": text})
    assert [read.status(index) for index in range(read.length)] == values


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['bits']} bits")
def test_the_drafts_lists_of_a_million(vector: dict[str, Any]) -> None:
    statuses = {int(index): status for index, status in vector["statuses"].items()}
    made = StatusList.of(vector["bits"], 2**20, statuses)
    assert made.claim()["lst"] == vector["lst"]
    read = StatusList.parse(vector)
    assert read.length == 2**20
    assert all(read.status(index) == status for index, status in statuses.items())
    assert read.data == made.data, "and all others are valid"


@given(bits=st.sampled_from([1, 2, 4, 8]), data=st.data())
def test_each_place_has_its_own_status(bits: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=8, max_size=64).map(lambda v: v[: len(v) & ~7]))
    made = StatusList.parse(StatusList.of(bits, len(values), dict(enumerate(values))).claim())
    assert [made.status(index) for index in range(len(values))] == values


@pytest.mark.parametrize(
    ("bits", "length", "statuses"), [(3, 8, {}), (1, 7, {}), (1, 8, {8: 1}), (1, 8, {-1: 1}), (2, 8, {0: 4})]
)
def test_what_does_not_fit_is_no_list(bits: int, length: int, statuses: dict[int, int]) -> None:
    with pytest.raises(InvalidArgumentError):
        StatusList.of(bits, length, statuses)


@pytest.mark.parametrize("index", [-1, 16, 2**64])
def test_nothing_is_known_beyond_the_end(index: int) -> None:
    with pytest.raises(StatusUnknownError, match="out of the bounds"):
        StatusList.parse({"bits": 1, "lst": "eNrbuRgAAhcBXQ"}).status(index)


BROKEN = {
    "no list": None,
    "other bits": {"bits": 3, "lst": "eNrbuRgAAhcBXQ"},
    "bits that are true": {"bits": True, "lst": "eNrbuRgAAhcBXQ"},
    "no text": {"bits": 1, "lst": 7},
    "no base64": {"bits": 1, "lst": "eNrbuRgAAhcBXQ="},
    "not compressed": {"bits": 1, "lst": lst(b"\xb9\xa3")},
    "cut off": {"bits": 1, "lst": lst(zlib.compress(bytes(1000), 9)[:-5])},
    "something behind it": {"bits": 1, "lst": lst(zlib.compress(b"\xb9\xa3", 9) + b"x")},
    "a bomb": {"bits": 1, "lst": lst(zlib.compress(bytes(MAX_LIST + 1), 9))},
    "a great bomb": {"bits": 1, "lst": lst(zlib.compress(bytes(200 * MAX_LIST), 9))},
}


@pytest.mark.parametrize("claim", BROKEN.values(), ids=BROKEN.keys())
def test_a_list_that_cannot_be_read_says_nothing(claim: object) -> None:
    with pytest.raises(StatusUnknownError):
        StatusList.parse(claim)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def said(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - claims
    made = claims(URI, StatusList.of(1, 16, {3: 1}), NOW, NOW + 300, 30, "https://as.example/status")
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def signed(authority: Authority, payload: dict[str, Any], **header: str) -> str:
    head = {"alg": "ES256", "kid": authority.jwt_key_id, "typ": "statuslist+jwt", **header}
    return compact.sign(head, payload, authority.jwt_key)


def read(authority: Authority, token: str, now: float = NOW, uri: str = URI) -> StatusListToken:
    return verify(token, uri, keys(authority), now)


def keys(authority: Authority) -> Any:  # noqa: ANN401 - a function
    known = {one.key_id: one.public_key for one in authority.bundle.jwt_authorities}
    return known.get


def test_a_list_of_its_issuer_is_taken(authority: Authority) -> None:
    found = read(authority, signed(authority, said()))
    assert (found.statuses.status(3), found.statuses.status(4)) == (1, 0)
    assert (found.issued_at, found.expires_at, found.ttl) == (NOW, NOW + 300, 30)
    assert said()["status_list"]["aggregation_uri"] == "https://as.example/status"


REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "another URI": ({"sub": "https://as.example/status/4"}, {}, "another list"),
    "no URI": ({"sub": None}, {}, "another list"),
    "another type": ({}, {"typ": "JWT"}, "not a status list token"),
    "expired": ({"exp": NOW}, {}, "expired"),
    "no time": ({"iat": None}, {}, "when it was issued"),
    "not yet": ({"iat": NOW + 61}, {}, "not yet"),
    "no ttl": ({"ttl": 0}, {}, "positive"),
    "odd ttl": ({"ttl": "30"}, {}, "ttl"),
    "no list": ({"status_list": None}, {}, "no status list"),
    "unknown key": ({}, {"kid": "nobody"}, "does not publish"),
}


@pytest.mark.parametrize(("changes", "header", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_this_list_now_is_refused(
    authority: Authority, changes: dict[str, Any], header: dict[str, str], why: str
) -> None:
    with pytest.raises(StatusUnknownError, match=why):
        read(authority, signed(authority, said(**changes), **header))


def test_a_foreign_signature_is_refused(authority: Authority) -> None:
    forged = compact.sign(
        {"alg": "ES256", "kid": authority.jwt_key_id, "typ": "statuslist+jwt"}, said(), Authority().jwt_key
    )
    with pytest.raises(StatusUnknownError, match="does not verify"):
        read(authority, forged)
    head, payload, _ = signed(authority, said()).split(".")
    with pytest.raises(StatusUnknownError):
        read(authority, f"{head}.{payload}.")
    with pytest.raises(StatusUnknownError, match="too long"):
        read(authority, "x" * (statuslist.MAX_TOKEN + 1))


def test_a_list_that_rolls_back_is_refused_and_the_newer_one_stays(authority: Authority) -> None:
    cache = StatusListCache(keys(authority))
    older = signed(authority, said(iat=NOW - 1, status_list=StatusList.of(1, 16, {}).claim()))
    cache.put(URI, signed(authority, said()), NOW)
    with pytest.raises(StatusUnknownError, match="older than one"):
        cache.put(URI, older, NOW + 1)
    assert cache.status(URI, 3, NOW + 1) == 1
    with pytest.raises(StatusUnknownError, match="older than one"):
        cache.put(URI, older, NOW + 100)


@pytest.mark.parametrize(
    ("changes", "good_until"),
    [({}, NOW + 30), ({"exp": NOW + 20}, NOW + 20), ({"ttl": None}, NOW + 300), ({"exp": None}, NOW + 30)],
    ids=["ttl", "exp", "no ttl", "no exp"],
)
def test_a_list_is_relied_on_until_the_stricter_of_its_ends(
    authority: Authority, changes: dict[str, Any], good_until: int
) -> None:
    cache = StatusListCache(keys(authority))
    assert cache.status(URI, 3, NOW) is None
    cache.put(URI, signed(authority, said(**changes)), NOW)
    assert cache.status(URI, 3, good_until - 1) == 1
    assert cache.status(URI, 3, good_until) is None


def test_a_list_without_any_end_is_asked_for_each_time(authority: Authority) -> None:
    cache = StatusListCache(keys(authority))
    cache.put(URI, signed(authority, said(exp=None, ttl=None)), NOW)
    assert cache.status(URI, 3, NOW) is None


def test_a_clock_that_was_set_back_makes_no_list_younger(authority: Authority) -> None:
    cache = StatusListCache(keys(authority))
    cache.put(URI, signed(authority, said()), NOW)
    assert cache.status(URI, 3, NOW - 1) is None
