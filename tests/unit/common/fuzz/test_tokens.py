"""Tokens that were altered after they were signed, or spelled otherwise: never valid.

The one alteration that signatures of ECDSA allow, (r, s) to (r, n - s), leaves the content as it was.
"""

import base64
import json
import string
from collections.abc import Iterable, Iterator, Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from assay.bundle import Bundle, JwtAuthority
from assay.svid.jwt import ALGORITHMS, verify
from assay.svid.refusal import Reason, SvidRefusedError
from assay.testing.authority import Authority
from assay.testing.clock import START

HOME = Authority()
SECOND = ec.generate_private_key(ec.SECP256R1())
SECOND_PUBLIC = SECOND.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
BUNDLE = Bundle(HOME.trust_domain, (), (*HOME.bundle.jwt_authorities, JwtAuthority("second", SECOND_PUBLIC)))
BUNDLES = {HOME.trust_domain: BUNDLE}
CLAIMS = {"sub": "spiffe://example.org/workload", "aud": ["audience"], "exp": int(START.timestamp()) + 300}
TOKEN = HOME.token({}, CLAIMS)
HEAD, BODY, TAIL = TOKEN.split(".")
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "==")


def signed(head: str, body: str) -> str:
    """A token of these parts, whatever they are, validly signed by the key that tokens of HOME name."""
    r, s = decode_dss_signature(HOME.jwt_key.sign(f"{head}.{body}".encode(), ec.ECDSA(SHA256())))
    return f"{head}.{body}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def accepted(tokens: Iterable[str]) -> list[str]:
    """Those that pass; whatever is raised but a refusal fails the test."""
    passed: list[str] = []
    for token in tokens:
        try:
            verify(token, BUNDLES, "audience", START)
        except SvidRefusedError:
            continue
        passed.append(token)
    return passed


def test_what_is_altered_here_is_valid_before() -> None:
    assert accepted([TOKEN, signed(HEAD, BODY)]) != []


def altered() -> Iterator[str]:
    for at, character in enumerate(TOKEN):
        bit = ALPHABET[(ALPHABET.find(character) + 1) % len(ALPHABET)]
        for changed in {bit, "A", "_", "."} - {character}:
            yield TOKEN[:at] + changed + TOKEN[at + 1 :]
        for more in ("A", ".", "=", "+", "\n", " ", "\0", "é", "\ud800"):
            yield TOKEN[:at] + more + TOKEN[at:]
        yield TOKEN[:at] + TOKEN[at + 1 :]
        yield TOKEN[:at]
    yield from (TOKEN + more for more in (*ALPHABET, ".", "=", "==", "\n", " ", f".{TAIL}", f".{TOKEN}"))


@pytest.mark.spec("JWT-4-d", "JWT-5.1-a")
def test_no_altered_token_passes() -> None:
    assert accepted(altered()) == []


def spellings(part: str) -> Iterator[str]:
    """Other texts that a lax decoder reads as the same bytes."""
    missing = -len(part) % 4
    value = ALPHABET.index(part[-1])
    yield from (part[:-1] + ALPHABET[value + extra] for extra in range(1, 4**missing))
    yield part + "=" * (missing or 4)
    yield part + "="
    yield part.replace("-", "+").replace("_", "/") + "~"
    yield f"{part}\n"
    yield f" {part}"
    yield f"{part[:4]}\r\n{part[4:]}"


@pytest.mark.spec("JWT-5.1-a")
def test_a_part_has_one_spelling_even_if_another_is_signed() -> None:
    others = [one for body in (BODY, encode(json.dumps(CLAIMS).encode() + b" ")) for one in spellings(body)]
    assert len(others) > 12
    assert accepted(signed(HEAD, other) for other in others) == []
    heads = [encode(decode(HEAD) + b" " * more) for more in range(3)]
    assert len(accepted(signed(head, BODY) for head in heads)) == 3
    assert accepted(signed(other, BODY) for head in heads for other in spellings(head)) == []
    assert accepted(f"{HEAD}.{BODY}.{other}" for other in spellings(TAIL)) == []


def test_the_alphabet_is_that_of_urls() -> None:
    body = encode(json.dumps({**CLAIMS, "x": "~~~???"}).encode())
    assert {"-", "_"} & set(body) or "fn5-" in body
    assert accepted([signed(HEAD, body)])
    assert accepted([signed(HEAD, body.replace("-", "+").replace("_", "/"))]) == []


def header(members: Mapping[str, object]) -> str:
    return encode(json.dumps({"alg": "ES256", "kid": HOME.jwt_key_id, **members}).encode())


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "none", "HS256", "EdDSA", "ES256K", "es256", "ES256 ", "", None, 7])
@pytest.mark.spec("JWT-2.1-b", "JWT-2.1-c")
def test_only_the_algorithm_that_was_used_holds(algorithm: object) -> None:
    head = header({"alg": algorithm})
    passed = accepted([f"{head}.{BODY}.{TAIL}", f"{head}.{BODY}.", signed(head, BODY)])
    assert len(passed) == (1 if algorithm == "ES256" else 0)


@pytest.mark.spec("JWT-4-d")
def test_only_the_key_that_was_used_holds() -> None:
    assert accepted([signed(header({"kid": "second"}), BODY), f"{header({'kid': 'second'})}.{BODY}.{TAIL}"]) == []
    for kid in ("", "Second", "second ", "../second", HOME.jwt_key_id + "\0", ["second"], {"a": 1}, None, 1e300):
        assert accepted([signed(header({"kid": kid}), BODY)]) == []


@pytest.mark.spec("JWT-2-a")
def test_keys_that_come_with_the_token_are_not_used() -> None:
    """`jwk`, `jku`, `x5c`, `x5u` are passed over like all that is not known."""
    numbers = SECOND.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": encode(numbers.x.to_bytes(32, "big")), "y": encode(numbers.y.to_bytes(32))}
    for extra in ({"jwk": jwk}, {"jku": "https://example.org"}, {"x5c": ["AAAA"]}, {"x5u": "https://example.org"}):
        head = header(extra)
        r, s = decode_dss_signature(SECOND.sign(f"{head}.{BODY}".encode(), ec.ECDSA(SHA256())))
        assert accepted([f"{head}.{BODY}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"]) == []
        assert len(accepted([signed(head, BODY)])) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"alg":"ES256","kid":"example.org-key","alg":"none"}',
        '{"alg":"none","kid":"example.org-key","alg":"ES256"}',
        '{"alg":"ES256","kid":"second","kid":"example.org-key"}',
        '{"alg":"ES256","kid":"example.org-key","\\u0061lg":"ES256"}',
        '{"alg":"ES256","kid":"example.org-key","x":{"a":1,"a":1}}',
        '{"alg":"ES256","kid":"example.org-key"}{}',
        '{"alg":"ES256","kid":"example.org-key",}',
        '{"alg":"ES256","kid":"example.org-key"/**/}',
        "{'alg':'ES256','kid':'example.org-key'}",
        '\ufeff{"alg":"ES256","kid":"example.org-key"}',
        '{"alg":"ES256","kid":"example.org-key","x":NaN}',
        '{"alg":"ES256","kid":"example.org-key","x":"\\ud800"}',
        '["alg","ES256"]',
    ],
)
def test_a_header_has_one_meaning_even_if_another_is_signed(text: str) -> None:
    with pytest.raises(SvidRefusedError) as caught:
        verify(signed(encode(text.encode()), BODY), BUNDLES, "audience", START)
    assert caught.value.reason in {Reason.MALFORMED, Reason.UNSUPPORTED_ALGORITHM}


def test_the_other_signature_of_a_pair_says_the_same() -> None:
    signature = decode(TAIL)
    other = signature[:32] + (ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    svid = verify(f"{HEAD}.{BODY}.{encode(other)}", BUNDLES, "audience", START)
    assert svid.claims == CLAIMS


def test_signatures_of_other_forms_are_refused() -> None:
    r, s = (int.from_bytes(half, "big") for half in (decode(TAIL)[:32], decode(TAIL)[32:]))
    forms = [
        encode_dss_signature(r, s),
        b"",
        b"\0" * 64,
        (1).to_bytes(32, "big") * 2,
        ORDER.to_bytes(32, "big") * 2,
        r.to_bytes(33, "big") + s.to_bytes(33, "big"),
        decode(TAIL) + b"\0",
        b"\0" + decode(TAIL),
        s.to_bytes(32, "big") + r.to_bytes(32, "big"),
        r.to_bytes(32, "little") + s.to_bytes(32, "little"),
        (r + ORDER).to_bytes(33, "big") + s.to_bytes(32, "big"),
    ]
    assert accepted(f"{HEAD}.{BODY}.{encode(one)}" for one in forms) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.integers(10**300, 10**310),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip", "enc"]), JSON)
PAYLOADS = st.dictionaries(st.sampled_from(["sub", "aud", "exp", "nbf", "iat", "jti", "iss"]), JSON)


@given(HEADERS, PAYLOADS)
def test_signed_nonsense_is_refused_and_never_an_internal_error(
    head: dict[str, object], claims: dict[str, object]
) -> None:
    for whole in ({}, {"alg": "ES256", "kid": HOME.jwt_key_id}):
        token = signed(
            encode(json.dumps({**whole, **head}).encode()), encode(json.dumps({**CLAIMS, **claims}).encode())
        )
        try:
            svid = verify(token, BUNDLES, "audience", START)
        except SvidRefusedError:
            continue
        assert svid.claims == {**CLAIMS, **claims}


@given(st.text() | st.lists(st.text(ALPHABET + "=+/ ."), max_size=5).map(".".join))
def test_text_is_refused(token: str) -> None:
    assert accepted([token]) == []
