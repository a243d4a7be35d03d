"""Every parser of what a stranger may have written: a value or a typed error, never anything else."""

import contextlib
import json
from collections.abc import Callable
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from assay.bundle import jwk, jwks, pem
from assay.bundle.strictjson import parse_object
from assay.config import source
from assay.crypto import certificate, csr, der, keys
from assay.errors import AssayError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import X509Svid, jwt
from assay.svid.x509 import verify
from assay.testing.authority import Authority, Ca, subject
from assay.testing.clock import START
from assay.wire import bundle as bundle_wire
from assay.workloadapi.address import Endpoint
from assay_proto.spire.api.types.bundle_pb2 import Bundle, JWTKey, X509Certificate
from assay_server.cli.entryform import parse_entries

pytestmark = pytest.mark.filterwarnings("ignore")  # cryptography remarks upon odd certificates

HOME = Authority()
BUNDLES = {HOME.trust_domain: HOME.bundle}
SVID = HOME.x509_svid(issuer=Ca.create("middle", issuer=HOME.root), dns_names=["a.b"])
REQUEST = csr.create(HOME.root.key, subject("web"), x509.DNSName("a.b"))
RSA_KEY = rsa.generate_private_key(65537, 2048).public_key()
DOCUMENT = cast("dict[str, object]", json.loads(jwks.emit(HOME.bundle)))


def read_certificate(data: bytes) -> None:
    loaded = certificate.load(data)
    certificate.extensions_of(loaded)
    certificate.public_key_of(loaded)


def read_request(data: bytes) -> None:
    request = csr.parse(data)
    with contextlib.suppress(AssayError):
        assert request.subject is not None
    with contextlib.suppress(AssayError):
        assert request.uris is not None
    assert request.dns_names is not None


def read_message(data: bytes) -> None:
    """Both kinds of authorities as the server's API has them."""
    for message in (
        Bundle(trust_domain="td", x509_authorities=[X509Certificate(asn1=data)]),
        Bundle(trust_domain="td", jwt_authorities=[JWTKey(public_key=data, key_id="k")]),
    ):
        with contextlib.suppress(AssayError):
            bundle_wire.from_proto(message)


BYTES: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "certificate": (SVID.chain[0], read_certificate),
    "chain": (SVID.chain[0], lambda data: verify([data, SVID.chain[1]], BUNDLES, START)),
    "concatenated chain": (b"".join(SVID.chain), lambda data: X509Svid.parse(der.split(data))),
    "request": (REQUEST, read_request),
    "public key": (HOME.bundle.jwt_authorities[0].public_key, keys.from_pkix),
    "RSA key": (keys.to_pkix(RSA_KEY), keys.from_pkix),
    "private key": (SVID.key_pkcs8, keys.from_pkcs8),
    "PEM": (SVID.chain_pem(), pem.parse),
    "own SVID as PEM": (SVID.chain_pem(), lambda data: X509Svid.from_pem(data, SVID.key_pem())),
    "own key as PEM": (SVID.key_pem(), lambda data: X509Svid.from_pem(SVID.chain_pem(), data)),
    "bundle document": (jwks.emit(HOME.bundle), lambda data: jwks.parse(HOME.trust_domain, data)),
    "JWT bundle": (jwks.emit_jwt(HOME.bundle), lambda data: jwks.parse_jwt(HOME.trust_domain, data)),
    "bundle message": (HOME.root.der, read_message),
    "strict JSON": (b'{"a": [1, {"b": "\\ud83d\\ude00"}], "c": 1e5}', lambda data: parse_object(data, "text")),
}
TEXTS: dict[str, tuple[str, Callable[[str], object]]] = {
    "SPIFFE ID": ("spiffe://example.org/a/b", SpiffeId.parse),
    "trust domain": ("example.org", TrustDomain.parse),
    "selector": ("unix:uid:1000", Selector.parse),
    "endpoint": ("unix:///run/assay/agent.sock", Endpoint.parse),
    "TCP endpoint": ("tcp://[::1]:8080", Endpoint.parse),
    "token": (HOME.jwt_svid(), lambda text: jwt.verify(text, BUNDLES, "audience", START)),
    "token of the issuer": (HOME.jwt_svid(), jwt.parse),
    "HCL": (
        'server {\n  a = ["x", -1.5e3, 0xff, true] # c\n  b = <<-E\n  t\n  E\n  p "q" { }\n}\n',
        lambda text: source.parse(text, "x.conf"),
    ),
    "JSON configuration": ('{"server": {"a": ["x", 1.5, null]}}', lambda text: source.parse(text, "x.json")),
    "TOML": ('[server]\na = ["x", 1.5]\n[[b.c]]\nd = { e = 1979-05-27 }\n', lambda text: source.parse(text, "x.toml")),
    "entries": (
        '{"entries": [{"spiffe_id": "spiffe://td/x", "parent_id": "spiffe://td/y", "selectors": [{"type": "a"}]}]}',
        parse_entries,
    ),
}


def splice(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, new in edits:
        start = at % (len(data) + 1)
        data = data[:start] + new + data[start + length % 8 :]
    return data


EDITS = st.lists(st.tuples(st.integers(0), st.integers(0), st.binary(max_size=6)), min_size=1, max_size=5)
SNIPPETS = st.sampled_from(
    [
        *(
            '"',
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\\u",
            "\\ud800",
            "\0",
            "\ud800",
            "é",
            "\r\n",
            "1e999",
            "-",
            ".",
            "/",
            "//",
        ),
        *(
            "${",
            "<<A\n",
            "/*",
            "=",
            "%",
            "%00",
            "@",
            "?",
            "#",
            "null",
            "9" * 5000,
            "[" * 200,
            '{"a":' * 200,
            "a." * 100,
        ),
    ]
)
TEXT_EDITS = st.lists(st.tuples(st.integers(0), st.integers(0), st.text(max_size=4) | SNIPPETS), min_size=1, max_size=5)


def test_what_is_damaged_here_is_read_before() -> None:
    for data, read in BYTES.values():
        read(data)
    for text, parse in TEXTS.values():
        parse(text)


@pytest.mark.parametrize("name", BYTES)
@given(junk=st.binary(max_size=300), edits=EDITS)
def test_bytes_are_read_or_refused(name: str, junk: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    data, read = BYTES[name]
    for damaged in (junk, splice(data, edits)):
        with contextlib.suppress(AssayError):  # anything else that is raised fails the test
            read(damaged)


@pytest.mark.parametrize("name", TEXTS)
@given(junk=st.text(max_size=200), edits=TEXT_EDITS)
def test_texts_are_read_or_refused(name: str, junk: str, edits: list[tuple[int, int, str]]) -> None:
    text, read = TEXTS[name]
    damaged = text
    for at, length, new in edits:
        start = at % (len(damaged) + 1)
        damaged = damaged[:start] + new + damaged[start + length % 8 :]
    for one in (junk, damaged):
        with contextlib.suppress(AssayError):
            read(one)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**310)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["EC", "RSA", "OKP", "P-256", "AQAB", "AAAA", "sig", "x509-svid", "jwt-svid", "spiffe://td/x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEY_MEMBERS = ["kty", "use", "kid", "crv", "x", "y", "n", "e", "d", "k", "alg", "x5c", "key_ops"]


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


@given(
    entries=st.lists(st.tuples(st.integers(0, 2), st.dictionaries(st.sampled_from(KEY_MEMBERS), JSON)), max_size=3),
    top=st.dictionaries(st.sampled_from(["keys", "spiffe_sequence", "spiffe_refresh_hint", "x"]), JSON, max_size=2),
)
@pytest.mark.spec("TDB-4.1.3-b", "X509-6.2-a", "JWT-6.2-a")
def test_odd_keys_cost_at_most_themselves(entries: list[tuple[int, dict[str, object]]], top: dict[str, object]) -> None:
    whole = [*cast("list[dict[str, object]]", DOCUMENT["keys"]), cast("dict[str, object]", jwk.emit(RSA_KEY))]
    odd = [{**whole[which], **members} for which, members in entries]
    for read in (jwks.parse, jwks.parse_jwt):
        with contextlib.suppress(AssayError):
            read(HOME.trust_domain, dumped({**DOCUMENT, "keys": [*odd, *whole], **top}))
    kept = jwks.parse(HOME.trust_domain, dumped({**DOCUMENT, "keys": [*whole, *odd]}))
    assert set(HOME.bundle.x509_authorities) <= set(kept.x509_authorities)
    assert set(HOME.bundle.jwt_authorities) <= set(kept.jwt_authorities)


@given(JSON)
def test_json_of_any_shape_is_a_configuration_or_refused(value: object) -> None:
    for text in (json.dumps(value), json.dumps({"a": value})):
        with contextlib.suppress(AssayError):
            source.parse(text, "x.json")


FIELDS = [
    "spiffe_id",
    "parent_id",
    "selectors",
    "x509_svid_ttl",
    "dns_names",
    "admin",
    "expires_at",
    "entryExpiry",
    "x",
]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), JSON)
def test_entries_of_any_shape_are_read_or_refused(fields: dict[str, object], value: object) -> None:
    ids = {"spiffe_id": "spiffe://td/x", "parent_id": "spiffe://td/y"}
    for document in (value, {"entries": value}, {"entries": [value]}, {"entries": [{**ids, **fields}]}):
        with contextlib.suppress(AssayError):
            parse_entries(json.dumps(document))


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000])
def test_entries_that_python_cannot_hold_are_refused(text: str) -> None:
    with pytest.raises(AssayError, match="nested too deeply or have a number that is too long"):
        parse_entries(f'{{"entries": {text}}}')
