"""The Workload API from the command line, against a real agent."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.cli.main import run
from assay.svid import X509Svid
from assay.testing.deployment import Deployment

pytestmark = pytest.mark.xdist_group("api cli")

WORKLOAD = "spiffe://example.test/api"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        made = Deployment(Path(folder))
        try:
            made.start()
            made.cli(
                "entry", "create", "-spiffeID", WORKLOAD, "-parentID", made.agent_id(), "-hint", "main",
                "-selector", f"unix:uid:{os.getuid()}", "-dns", "a.example",
            )  # fmt: skip
            subprocess.run(watch(made), stdout=subprocess.DEVNULL, check=False, timeout=30)
            yield made
        finally:
            made.close()


def watch(deployment: Deployment) -> list[str]:
    """A command that ends when this user has an SVID."""
    assay = f"{sys.executable} -m assay.cli"
    once = f"{assay} api fetch jwt --audience x --socket-path {deployment.api}"
    return ["/bin/sh", "-c", f"until {once}; do :; done 2>/dev/null"]


@pytest.fixture(autouse=True)
def endpoint(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", deployment.endpoint)


def ok(*arguments: str) -> None:
    assert run(arguments) == 0


def test_x509_is_printed_in_spires_words(capsys: pytest.CaptureFixture[str]) -> None:
    ok("api", "fetch")
    out = capsys.readouterr().out
    assert out.startswith("Received 1 svid after ")
    assert f"\nSPIFFE ID:\t\t{WORKLOAD}\nHint:\t\t\tmain\nSVID Valid After:\t" in out
    assert "\nCA #1 Valid Until:\t" in out


def test_x509_as_json_is_the_response_itself(capsys: pytest.CaptureFixture[str]) -> None:
    ok("api", "fetch", "x509", "-output", "json")
    (svid,) = json.loads(capsys.readouterr().out)["svids"]
    parsed = X509Svid.parse([base64.b64decode(svid["x509_svid"])], base64.b64decode(svid["x509_svid_key"]))
    assert (str(parsed.spiffe_id), svid["hint"]) == (WORKLOAD, "main")


def test_x509_is_written_to_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok("api", "fetch", "x509", "-write", str(tmp_path), "-silent")
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.0.pem", "svid.0.key", "svid.0.pem"]
    svid = X509Svid.from_pem((tmp_path / "svid.0.pem").read_bytes(), (tmp_path / "svid.0.key").read_bytes())
    assert str(svid.spiffe_id) == WORKLOAD
    assert (tmp_path / "svid.0.key").stat().st_mode & 0o777 == 0o600
    ok("api", "fetch", "x509", "-write", str(tmp_path))
    assert f"Wrote {tmp_path}/svid.0.key\n" in capsys.readouterr().out


def test_x509_cannot_be_written_where_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["api", "fetch", "x509", "-write", "/no/such", "-silent"]) == 1
    assert "cannot write to /no/such" in capsys.readouterr().err


def token(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    ok("api", "fetch", "jwt", "-output", "json", *arguments)
    svids, bundles = json.loads(capsys.readouterr().out)
    assert list(bundles["bundles"]) == ["spiffe://example.test"]
    (svid,) = svids["svids"]
    assert svid["spiffe_id"] == WORKLOAD
    return str(svid["svid"])


def test_a_token_is_fetched_and_validated(capsys: pytest.CaptureFixture[str]) -> None:
    found = token(capsys, "-audience", "one,two", "-spiffeID", WORKLOAD)
    for audience in ("one", "two"):
        ok("api", "validate", "jwt", "-audience", audience, "-svid", found)
        out = capsys.readouterr().out
        assert out.startswith(f"SVID is valid.\nSPIFFE ID : {WORKLOAD}\nClaims    : {{")
    ok("api", "validate", "jwt", "-audience", "one", "-svid", found, "-output", "json")
    claims = json.loads(capsys.readouterr().out)["claims"]
    assert (claims["sub"], claims["aud"]) == (WORKLOAD, ["one", "two"])
    assert run(["api", "validate", "jwt", "-audience", "three", "-svid", found]) == 1
    assert capsys.readouterr().err.startswith("Error: SVID is not valid: ")


def test_a_token_is_printed_with_the_keys_to_check_it(capsys: pytest.CaptureFixture[str]) -> None:
    ok("api", "fetch", "jwt", "-audience", "one")
    out = capsys.readouterr().out
    assert out.startswith(f"token({WORKLOAD}):\n\teyJ")
    assert f"\nhint({WORKLOAD}):\n\tmain\n" in out
    assert '\nbundle(spiffe://example.test):\n\t{"keys": [' in out


def test_a_socket_is_named_by_flag_path_or_address(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    ok("api", "fetch", "-socketPath", str(deployment.api), "-timeout", "10s", "-silent")
    ok("api", "fetch", "-socketPath", f"unix://{deployment.api}", "-timeout", "10", "-silent")
    assert run(["api", "fetch", "-socketPath", "unix:relative"]) == 1
    assert "is invalid" in capsys.readouterr().err
    assert run(["api", "fetch", "-timeout", "soon"]) == 2
    assert "is not a duration" in capsys.readouterr().err


def test_a_foreign_identity_is_refused_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["api", "fetch", "jwt", "-audience", "x", "-spiffeID", "spiffe://example.test/other"]) == 1
    err = capsys.readouterr().err
    assert "Hint: register this process: assay entry create --selector unix:uid:" in err


def test_watch_prints_what_there_is_and_ends_quietly(deployment: Deployment) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "assay.cli", "api", "watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "SPIFFE_ENDPOINT_SOCKET": deployment.endpoint, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    if process.stdout is None:
        raise RuntimeError("no output")
    assert process.stdout.readline().startswith("Received 1 svid after ")
    process.send_signal(2)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_the_agent_says_that_it_is_well(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    ok("agent", "healthcheck", "-socketPath", str(deployment.api))
    assert capsys.readouterr().out == "Agent is healthy.\n"
