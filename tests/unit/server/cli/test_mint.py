"""`assay x509 mint` and `assay jwt mint` against a real server."""

import base64
import json
import stat
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

WHO = ("-spiffeID", "spiffe://example.test/minted")


class Cli(Protocol):
    err: str

    def __call__(self, *arguments: str, status: int = 0) -> str: ...
    def json(self, *arguments: str, status: int = 0) -> Any: ...  # noqa: ANN401 - JSON


pytestmark = pytest.mark.xdist_group("admin cli")


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def blocks(out: str) -> dict[str, str]:
    """What is printed, by its title."""
    titles = ("X509-SVID:\n", "Private key:\n", "Root CAs:\n")
    starts = [out.index(title) for title in titles]
    ends = [*starts[1:], len(out)]
    return {title: out[start + len(title) : end] for title, start, end in zip(titles, starts, ends, strict=True)}


def test_an_x509_svid_is_printed_with_its_key_and_the_roots(cli: Cli) -> None:
    found = blocks(cli("x509", "mint", *WHO, "-dns", "b.example", "-dns", "a.example", "-ttl", "10m"))
    assert all(text.endswith("-----\n\n") for text in found.values())
    leaf = x509.load_pem_x509_certificate(found["X509-SVID:\n"].encode())
    root = x509.load_pem_x509_certificate(found["Root CAs:\n"].encode())
    key = load_pem_private_key(found["Private key:\n"].encode(), None)
    assert key.public_key() == leaf.public_key()
    leaf.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.test/minted"]
    assert names.get_values_for_type(x509.DNSName) == ["b.example", "a.example"]
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert life.total_seconds() == 610
    assert cli.err == ""


def test_as_json_it_is_der_in_base64(cli: Cli) -> None:
    found = cli.json("x509", "mint", *WHO)
    assert set(found) == {"x509_svid", "private_key", "root_cas"}
    leaf, root = (
        x509.load_der_x509_certificate(base64.b64decode(found[name][0])) for name in ("x509_svid", "root_cas")
    )
    leaf.verify_directly_issued_by(root)
    assert load_der_private_key(base64.b64decode(found["private_key"]), None).public_key() == leaf.public_key()


def test_files_are_written_and_only_the_key_is_private(cli: Cli, tmp_path: Path) -> None:
    out = cli("x509", "mint", *WHO, "-write", str(tmp_path))
    assert out.splitlines() == [
        f"X509-SVID written to {tmp_path}/svid.pem",
        f"Private key written to {tmp_path}/key.pem",
        f"Root CAs written to {tmp_path}/bundle.pem",
    ]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"svid.pem": 0o644, "key.pem": 0o600, "bundle.pem": 0o644}
    leaf = x509.load_pem_x509_certificate((tmp_path / "svid.pem").read_bytes())
    key = load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    assert key.public_key() == leaf.public_key()
    (tmp_path / "key.pem").chmod(0o644)
    paths = cli.json("x509", "mint", *WHO, "-write", str(tmp_path))
    assert paths["private_key_path"] == f"{tmp_path}/key.pem"
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_a_token_is_printed_alone(cli: Cli) -> None:
    out = cli("jwt", "mint", *WHO, "-audience", "b", "-audience", "a", "-ttl", "90.1s")
    found = claims(out.removesuffix("\n"))
    assert found["sub"] == "spiffe://example.test/minted"
    assert found["aud"] == ["b", "a"]
    assert found["exp"] - found["iat"] == 91
    assert cli.err == ""


def test_as_json_the_token_comes_with_its_times(cli: Cli) -> None:
    found = cli.json("jwt", "mint", *WHO, "-audience", "a")["svid"]
    assert found["id"] == {"trust_domain": "example.test", "path": "/minted"}
    assert int(found["expires_at"]) == claims(found["token"])["exp"]


def test_a_token_can_go_to_a_file_that_nobody_else_reads(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "token"
    out = cli("jwt", "mint", *WHO, "-audience", "a", "-write", str(path))
    assert out == f"JWT-SVID written to {path}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert claims(path.read_text())["aud"] == ["a"]
    assert cli.json("jwt", "mint", *WHO, "-audience", "a", "-write", str(path)) == {"jwt_svid_path": str(path)}


@pytest.mark.parametrize("what", [("x509", "mint", "X509-SVID"), ("jwt", "mint", "JWT-SVID")])
def test_a_life_beyond_the_cas_is_capped_and_that_is_said(cli: Cli, what: tuple[str, str, str]) -> None:
    audience = ("-audience", "a") if what[0] == "jwt" else ()
    cli(*what[:2], *WHO, *audience, "-ttl", "8760h")
    assert cli.err.startswith(f'{what[2]} lifetime was capped shorter than specified ttl; expires "20')


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("x509", "mint"), 2, "Missing option '--spiffe-id'"),
        (("jwt", "mint", *WHO), 2, "Missing option '--audience'"),
        (("jwt", "mint", *WHO, "-audience", ""), 1, "invalid JWT-SVID audience: cannot be empty"),
        (("x509", "mint", "-spiffeID", "x"), 1, "scheme is missing"),
        (("x509", "mint", "-spiffeID", "spiffe://other.test/x"), 1, "is not a member of trust domain"),
        (("x509", "mint", *WHO, "-ttl", "90"), 2, "write it with units"),
        (("x509", "mint", *WHO, "-ttl=-5s"), 2, "is negative"),
        (("jwt", "mint", *WHO, "-audience", "a", "-ttl", "700000h"), 2, "longer than 68 years"),
        (("x509", "mint", *WHO, "-write", "/no/such/folder"), 1, "make the folder /no/such/folder first"),
        (("jwt", "mint", *WHO, "-audience", "a", "-write", "/no/such/file"), 1, "make the folder /no/such first"),
        (("x509", "mint", *WHO, "-dns", "not a name"), 1, "CSR DNS name is invalid"),
        (("wit", "mint", *WHO), 1, 'is disabled Hint: set experimental { feature_flags = ["wit-svid"] }'),
    ],
)  # fmt: skip
def test_what_cannot_be_minted_is_refused(cli: Cli, arguments: tuple[str, ...], status: int, words: str) -> None:
    assert cli(*arguments, status=status) == ""
    assert words in " ".join(cli.err.replace("│", " ").split())
