"""`assay bundle list|set|delete|count`, `federation`, `logger` and `debug`, against a real server."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from assay.bundle import jwks, pem
from assay.cli.main import run
from assay.testing.authority import Authority

OTHER = Authority("other.test")
PEM = pem.emit(OTHER.bundle.x509_authorities)
WEB = ("-trustDomain", "web.test", "-bundleEndpointURL", "https://web.test/b", "-bundleEndpointProfile", "https_web")
SHOWN = (
    "Trust domain              : web.test\n"
    "Bundle endpoint URL       : https://web.test/b\n"
    "Bundle endpoint profile   : https_web\n"
)


class Cli(Protocol):
    err: str

    def __call__(self, *arguments: str, status: int = 0) -> str: ...
    def json(self, *arguments: str, status: int = 0) -> Any: ...  # noqa: ANN401 - JSON


pytestmark = pytest.mark.xdist_group("admin cli")


@pytest.fixture(autouse=True)
def nothing_left(cli: Cli) -> Iterator[None]:
    yield
    for one in cli.json("federation", "list")["federation_relationships"]:
        cli("federation", "delete", "-id", one["trust_domain"])
    for one in cli.json("bundle", "list")["bundles"]:
        cli("bundle", "delete", "-id", one["trust_domain"], "-mode", "delete")


@pytest.fixture
def bundle_file(tmp_path: Path) -> str:
    path = tmp_path / "bundle.pem"
    path.write_bytes(PEM)
    return str(path)


def test_a_foreign_bundle_is_set_listed_counted_and_deleted(cli: Cli, bundle_file: str) -> None:
    assert cli("bundle", "count") == "1 bundle\n"
    assert cli("bundle", "list") == ""
    assert cli("bundle", "set", "-id", "spiffe://other.test", "-path", bundle_file) == "bundle set.\n"
    assert cli("bundle", "count") == "2 bundles\n"
    assert cli.json("bundle", "count") == {"count": 2}
    bar = "*" * 40
    assert cli("bundle", "list") == f"{bar}\n* other.test\n{bar}\n{PEM.decode()}"
    assert cli("bundle", "list", "-id", "other.test") == PEM.decode()
    whole = jwks.parse(OTHER.trust_domain, cli("bundle", "list", "-id", "other.test", "-format", "spiffe").encode())
    assert whole.x509_authorities == OTHER.bundle.x509_authorities
    assert cli.json("bundle", "list")["bundles"][0]["trust_domain"] == "other.test"
    assert cli("bundle", "delete", "-id", "other.test") == "bundle deleted.\n"
    assert cli("bundle", "list") == ""


def test_a_bundle_comes_from_standard_input_in_either_form(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for form, data in (("pem", PEM), ("spiffe", jwks.emit(OTHER.bundle))):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        cli("bundle", "set", "-id", "other.test", "-format", form)
        (bundle,) = cli.json("bundle", "list")["bundles"]
        assert len(bundle["jwt_authorities"]) == (1 if form == "spiffe" else 0)


def test_what_becomes_of_entries_is_the_operators_choice(cli: Cli, bundle_file: str) -> None:
    cli("bundle", "set", "-id", "other.test", "-path", bundle_file)
    flags = ("-spiffeID", "spiffe://example.test/f", "-parentID", "spiffe://example.test/p", "-selector", "a:b")
    cli("entry", "create", *flags, "-federatesWith", "other.test", "-entryID", "federates")
    cli("bundle", "delete", "-id", "other.test", status=1)
    assert cli.err.startswith('Error: failed to delete federated bundle "other.test": ')
    assert "federated with 1 registration entr" in cli.err
    cli("bundle", "delete", "-id", "other.test", "-mode", "dissociate")
    assert cli.json("entry", "show", "-entryID", "federates")["entries"][0]["federates_with"] == []
    cli("entry", "delete", "-entryID", "federates")


def test_bundles_that_are_none_are_refused(cli: Cli, bundle_file: str, tmp_path: Path) -> None:
    cli("bundle", "set", "-id", "example.test", "-path", bundle_file, status=1)
    assert cli.err.startswith("Error: failed to set federated bundle: ")
    answer = cli.json("bundle", "set", "-id", "example.test", "-path", bundle_file, status=1)
    assert answer["results"][0]["status"]["code"] == 3
    cli("bundle", "set", "-id", "other.test", "-path", str(tmp_path / "none"), status=1)
    assert "cannot be read: No such file" in cli.err
    (tmp_path / "none").write_text("nonsense")
    cli("bundle", "set", "-id", "other.test", "-path", str(tmp_path / "none"), status=1)
    assert "unable to parse PEM bundle" in cli.err
    cli("bundle", "list", "-id", "nobody.test", status=1)
    assert cli.err.startswith("Error: bundle not found")
    cli("bundle", "set", status=2)
    assert cli("bundle", "list") == ""


def test_a_relationship_lives_in_spires_words(cli: Cli, bundle_file: str) -> None:
    assert cli("federation", "list") == "Found 0 federation relationships\n"
    assert cli("federation", "create", *WEB) == f"\n{SHOWN}"
    assert cli("federation", "list") == f"Found 1 federation relationship\n\n{SHOWN}"
    found = f"Found a federation relationship with trust domain web.test:\n\n{SHOWN}"
    assert cli("federation", "show", "-trustDomain", "web.test") == found
    changed = cli(
        "federation", "update", "-trustDomain", "web.test", "-bundleEndpointURL", "https://web.test/c",
        "-bundleEndpointProfile", "https_spiffe", "-endpointSpiffeID", "spiffe://web.test/e",
        "-trustDomainBundlePath", bundle_file,
    )  # fmt: skip
    assert changed.endswith(
        "Bundle endpoint URL       : https://web.test/c\nBundle endpoint profile   : https_spiffe\n"
        "Endpoint SPIFFE ID        : spiffe://web.test/e\n"
    )
    assert cli.json("federation", "show", "-trustDomain", "web.test")["trust_domain_bundle"]["x509_authorities"]
    cli("federation", "refresh", "-id", "web.test", status=1)
    assert "not built yet" in cli.err
    assert cli("federation", "delete", "-id", "web.test") == "federation relationship deleted.\n"
    cli("federation", "delete", "-id", "web.test", status=1)
    assert cli.err.startswith('Error: failed to delete federation relationship "web.test": ')
    cli("federation", "show", "-trustDomain", "web.test", status=1)
    assert cli.err.startswith("Error: federation relationship does not exist")


def test_relationships_come_from_spires_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "relationships.json"
    one = {"trustDomain": "web.test", "bundleEndpointURL": "https://web.test/b", "bundleEndpointProfile": "https_web"}
    spiffe = {
        "trustDomain": "other.test", "bundleEndpointURL": "https://other.test/b",
        "bundleEndpointProfile": "https_spiffe", "endpointSPIFFEID": "spiffe://other.test/e",
    }  # fmt: skip
    whole = {"trustDomainBundle": json.loads(jwks.emit(OTHER.bundle)), "trustDomainBundleFormat": "spiffe"}
    path.write_text(json.dumps({"federationRelationships": [one, {**spiffe, **whole}, one]}))
    out = cli("federation", "create", "-data", str(path), status=1)
    assert out.startswith(f"\n{SHOWN}\nTrust domain              : other.test\n")
    assert cli.err.startswith("Failed to create the following federation relationship (code: ")
    assert cli.err.endswith(f"{SHOWN}Error: failed to create one or more federation relationships\n")
    assert cli("bundle", "list", "-id", "other.test") == PEM.decode()
    path.write_text(json.dumps({"federationRelationships": [{**spiffe, "trustDomainBundle": PEM.decode()}]}))
    assert cli.json("federation", "update", "-data", str(path))["results"][0]["status"]["code"] == 0
    cli("federation", "update", "-data", str(path), "-trustDomain", "web.test", status=2)
    assert "goes with no flag" in cli.err


@pytest.mark.parametrize(
    ("one", "words"),
    [
        ({}, "could not parse item 0: trust domain is required"),
        ({"trustDomain": "a"}, "bundle endpoint URL is required"),
        ({"trustDomain": "a", "bundleEndpointURL": "https://a"}, 'unknown bundle endpoint profile type: ""'),
        ({"trustDomain": 7}, "trustDomain must be text"),
        ({"trust_domain": "a"}, 'unknown key "trust_domain"'),
        (7, "it is no object"),
        (
            {"trustDomain": "a", "bundleEndpointURL": "u", "bundleEndpointProfile": "https_spiffe"},
            "endpoint SPIFFE ID is required",
        ),
        (
            {"trustDomain": "a", "bundleEndpointURL": "u", "bundleEndpointProfile": "https_web",
             "trustDomainBundle": {"keys": []}},
            "trustDomainBundle must be text",
        ),
        (
            {"trustDomain": "a", "bundleEndpointURL": "u", "bundleEndpointProfile": "https_web",
             "trustDomainBundleFormat": "der"},
            'bundle format "der" is unsupported',
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_changes_nothing(cli: Cli, tmp_path: Path, one: object, words: str) -> None:
    path = tmp_path / "relationships.json"
    path.write_text(json.dumps({"federationRelationships": [one]}))
    cli("federation", "create", "-data", str(path), status=1)
    assert words in cli.err
    assert cli("federation", "list") == "Found 0 federation relationships\n"


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"federation_relationships": []}', "[" * 100_000])
def test_a_file_that_is_no_list_of_relationships(cli: Cli, tmp_path: Path, text: str) -> None:
    path = tmp_path / "relationships.json"
    path.write_text(text)
    cli("federation", "create", "-data", str(path), status=1)
    assert cli.err.startswith("Error: ")


def test_the_logs_level_is_shown_set_and_reset(cli: Cli) -> None:
    assert cli("logger", "get") == "Logger Level : debug\nLaunch Level : debug\n\n"
    assert cli("logger", "set", "-level", "WARN") == "Logger Level : warning\nLaunch Level : debug\n\n"
    assert cli.json("logger", "set", "-level", "info") == {"current_level": "INFO", "launch_level": "DEBUG"}
    assert cli("logger", "reset") == "Logger Level : debug\nLaunch Level : debug\n\n"
    cli("logger", "set", "-level", "never", status=2)
    cli("logger", "set", status=2)
    assert cli("logger", "get") == "Logger Level : debug\nLaunch Level : debug\n\n"


def test_the_server_says_how_it_is(cli: Cli) -> None:
    out = cli("debug", "getinfo")
    assert re.match(
        r"Server Debug Info:\n  Uptime: {18}[0-9hm]*\d+s\n  Registered Agents: {7}\d\n  Registration Entries: {4}\d+\n"
        r"  Federated Bundles: {7}1\n  SVID Chain:\n    \[0\] SPIFFE ID:  spiffe://example\.test/spire/server\n"
        r"        Subject:    O=SPIRE,C=US\n        Expires At: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n",
        out,
    ), out
    assert {"uptime", "agents_count", "entries_count", "svid_chain"} <= cli.json("debug", "getinfo").keys()


@pytest.mark.parametrize("group", ["bundle", "federation", "logger", "debug"])
def test_without_a_server_each_says_so(group: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verb = {"bundle": "count", "federation": "list", "logger": "get", "debug": "getinfo"}[group]
    assert run([group, verb, "--socket-path", str(tmp_path / "none")]) == 1
    assert "no server is running" in capsys.readouterr().err
