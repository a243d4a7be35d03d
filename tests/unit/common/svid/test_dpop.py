"""DPoP proofs (RFC 9449): the RFC's own, and everything that one has to be for."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from assay.bundle import jwk
from assay.errors import ResourceExhaustedError
from assay.keymanager.base import SigningKey
from assay.svid import compact, dpop
from assay.svid.dpop import DpopKey, thumbprint_of
from assay.svid.refusal import Reason, SvidRefusedError
from assay.svid.replay import SKEW, Seen

URL = "https://resource.example.org/protectedresource"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
# RFC 9449, sections 4.1, 6.1 and 7.1.
RFC_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rsc"
    "EJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
RFC_TOKEN_PROOF = (
    f"{RFC_HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rv"
    "a2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37x"
    "RZT3Lg"
)
RFC_PROOF = (
    f"{RFC_HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9w"
    "cm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFF"
    "byJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_the_proofs_of_the_rfc_are_taken() -> None:
    seen = Seen()
    token_endpoint = "https://server.example.com/token"
    assert thumbprint_of(RFC_TOKEN_PROOF, "POST", token_endpoint, 1562262616, seen) == RFC_THUMBPRINT
    assert thumbprint_of(RFC_PROOF, "GET", URL, 1562262618, seen, access_token=RFC_TOKEN) == RFC_THUMBPRINT


KEYS = [
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    rsa.generate_private_key(65537, 2048),
]


@pytest.mark.parametrize("key", KEYS, ids=["P-256", "P-384", "RSA"])
def test_what_a_key_proves_has_its_thumbprint(key: SigningKey) -> None:
    own = DpopKey.of(key)
    proof = own.prove("GET", f"{URL}?page=2#x", NOW, access_token="token")
    assert thumbprint_of(proof, "GET", URL, NOW.timestamp(), Seen(), access_token="token") == own.thumbprint
    assert own.thumbprint == jwk.thumbprint(jwk.emit(key.public_key()))


def made(key: DpopKey, header: dict[str, Any] | None = None, **claims: object) -> str:
    """A proof with these members over the ordinary ones; None leaves one out."""
    members = {"alg": "ES256", "typ": dpop.TYPE, "jwk": jwk.emit(key.key.public_key()), **(header or {})}
    said = {"htm": "GET", "htu": URL, "iat": int(NOW.timestamp()), "jti": "1", **claims}
    return compact.sign(members, {name: value for name, value in said.items() if value is not None}, key.key)


def why(proof: str, *, access_token: str = "", at: float = NOW.timestamp(), life: float = 60) -> str:
    with pytest.raises(SvidRefusedError) as caught:
        thumbprint_of(proof, "GET", URL, at, Seen(), access_token=access_token, life=life)
    assert caught.value.reason is Reason.BAD_PROOF
    return caught.value.message.removeprefix("proof of possession is not accepted: ")


@pytest.mark.parametrize(
    "htu",
    [
        URL,
        f"{URL}?x=1",
        f"{URL}#x",
        URL.replace("https", "HTTPS"),
        URL.replace("resource.", "Resource."),
        URL.replace(".org", ".org:443"),
    ],
)
def test_one_place_has_several_spellings(htu: str) -> None:
    """RFC 9449 section 4.3: without query and fragment; RFC 3986 section 6.2.3."""
    key = DpopKey.create()
    assert thumbprint_of(made(key, htu=htu), "GET", URL, NOW.timestamp(), Seen()) == key.thumbprint


@pytest.mark.parametrize(
    "claims",
    [
        {"htm": "POST"},
        {"htm": "get"},
        {"htm": None},
        {"htu": None},
        {"htu": 7},
        {"htu": URL + "/"},
        {"htu": URL.replace("https", "http")},
        {"htu": URL.replace(".org", ".org:444")},
        {"htu": URL.replace("resource", "evil")},
        {"htu": URL.replace("//", "//resource.example.org@")},
        {"htu": "https://[::1"},
        {"htu": "https://resource.example.org:x/protectedresource"},
        {"htu": ""},
        {"htu": f"{URL}?{'a' * 2048}"},
    ],
)
def test_a_proof_for_another_request_is_none(claims: dict[str, Any]) -> None:
    assert why(made(DpopKey.create(), **claims)) == "it is for another request"


def test_a_proof_is_for_one_token() -> None:
    key = DpopKey.create()
    assert why(made(key), access_token="token") == "it is for another token"
    assert why(made(key, ath=7), access_token="token") == "it is for another token"
    assert why(key.prove("GET", URL, NOW, access_token="other"), access_token="token") == "it is for another token"


def test_a_proof_was_made_just_now_and_has_a_name() -> None:
    key = DpopKey.create()
    now = int(NOW.timestamp())
    for iat in (now - 61, now + SKEW + 1, None, "now", 2**60, True):
        assert "just now" in (said := why(made(key, iat=iat))) or "not a date" in said
    for jti in (None, "", 7, "a" * 201):
        assert why(made(key, jti=jti)) == "it has no jti"
    for iat in (now - 60, now + SKEW):
        assert thumbprint_of(made(key, iat=iat), "GET", URL, now, Seen(), life=60) == key.thumbprint


def test_a_proof_counts_once_and_each_key_has_names_of_its_own() -> None:
    seen, one, other = Seen(), DpopKey.create(), DpopKey.create()
    at = NOW.timestamp()
    thumbprint_of(made(one), "GET", URL, at, seen)
    with pytest.raises(SvidRefusedError, match="presented before"):
        thumbprint_of(made(one), "GET", URL, at, seen)
    assert thumbprint_of(made(other), "GET", URL, at, seen) == other.thumbprint


def test_memory_for_proofs_is_bounded_and_full_is_no_way_in() -> None:
    seen, key = Seen(1), DpopKey.create()
    thumbprint_of(made(key), "GET", URL, NOW.timestamp(), seen)
    with pytest.raises(ResourceExhaustedError):
        thumbprint_of(made(key, jti="2"), "GET", URL, NOW.timestamp(), seen)


SPOILT: dict[str, Callable[[DpopKey], str]] = {
    "another type": lambda key: made(key, {"typ": "JWT"}),
    "critical": lambda key: made(key, {"crit": ["x"]}),
    "no key": lambda key: made(key, {"jwk": None}),
    "a key's name": lambda key: made(key, {"jwk": "key"}),
    "a secret": lambda key: made(key, {"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),
    "a private key": lambda key: made(key, {"jwk": {**jwk.emit(key.key.public_key()), "d": "AA"}}),
    "no point": lambda key: made(key, {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}),
    "another's key": lambda key: made(key, {"jwk": jwk.emit(DpopKey.create().key.public_key())}),
    "another algorithm": lambda key: made(key).replace(".", "..", 1),
    "unsigned": lambda key: f"{encoded({'alg': 'none', 'typ': dpop.TYPE, 'jwk': jwk.emit(key.key.public_key())})}.e30.",
    "a long header": lambda key: made(key, {"x": "a" * 4000}),
    "nothing": lambda _: "",
}


def encoded(part: dict[str, Any]) -> str:
    return jwk.encode(json.dumps(part).encode())


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_no_proof_is_refused(how: str) -> None:
    assert why(SPOILT[how](DpopKey.create()))
