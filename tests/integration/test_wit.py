"""WIT-SVIDs through a real server and agent: minted by an operator, fetched by a workload, proven by its key."""

import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.jwk import ECKey, KeySet

from assay.authorize import member_of
from assay.bundle import jwks
from assay.cli.main import run
from assay.clock import SystemClock
from assay.crypto.keys import to_pkix
from assay.spiffeid import TrustDomain
from assay.svid import proof, wit, witkey
from assay.svid.refusal import RefusedError
from assay.testing.deployment import Deployment
from assay.verify import FixedBundles, WitVerifier
from assay.workloadapi import Endpoint
from assay.workloadapi.blocking import WitBundleSource, WitSource

WEB = "spiffe://example.test/web"
HOME = TrustDomain("example.test")
ON = 'experimental { feature_flags = ["wit-svid"] }'

Command: TypeAlias = Callable[..., str]

pytestmark = pytest.mark.xdist_group("wit")


@pytest.fixture(scope="module")
def house() -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        made = Deployment(Path(folder), server=ON)
        try:
            made.start()
            made.cli(
                "entry", "create", "-spiffeID", WEB, "-parentID", made.agent_id(), "-hint", "main",
                "-selector", f"unix:uid:{os.getuid()}", "-x509SVIDTTL", "10",
            )  # fmt: skip
            # Waits until the agent has the entry.
            with WitSource(Endpoint.of_path(made.api)):
                pass
            yield made
        finally:
            made.close()


@pytest.fixture
def out(house: Deployment, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `assay ARGS` and gives what it prints."""

    def command(*arguments: str, status: int = 0) -> str:
        capsys.readouterr()
        socket = house.api if arguments[0] == "api" else house.admin
        assert run([*arguments, "-socketPath", str(socket)]) == status
        return capsys.readouterr().out

    return command


def bundle(out: Command) -> FixedBundles:
    return FixedBundles(jwks.parse(HOME, out("bundle", "show", "-format", "spiffe").encode()))


@pytest.mark.spec("WIT-5-a", "WIT-6.1-a", "WAPI-7.1-a", "ID-4.1.2-a")
def test_a_workload_fetches_one_and_proves_it_with_the_key_it_was_given(house: Deployment, out: Command) -> None:
    endpoint, audience, now = Endpoint.of_path(house.api), "https://orders.test/api", SystemClock().now()
    with WitSource(endpoint) as source, WitBundleSource(endpoint) as bundles:
        svid = source.svid()
        verifier = WitVerifier(bundles, audience, member_of(HOME))
        assert str(verifier.verify(svid.token, proof.prove(svid, audience, now)).spiffe_id) == WEB
        thief = replace(svid, key=ec.generate_private_key(ec.SECP256R1()))
        with pytest.raises(RefusedError):
            verifier.verify(svid.token, proof.prove(thief, audience, now))
        # What the server publishes verifies it as well, and the agent's set is an ordinary one.
        assert str(wit.verify(svid.token, bundle(out).bundles(), now).spiffe_id) == WEB
        authority = bundles.bundles()[HOME].wit_authorities
    assert authority == tuple(
        type(one)(one.key_id, one.public_key) for one in bundle(out).bundles()[HOME].wit_authorities
    )


@pytest.mark.spec("WIT-4-b")
def test_a_source_is_given_the_next_one_with_another_key(house: Deployment) -> None:
    with WitSource(Endpoint.of_path(house.api)) as source:
        version, first = source.version, source.svid()
        assert source.changed(version, within=30) > version
        second = source.svid()
    assert (second.spiffe_id, second.expires_at > first.expires_at) == (first.spiffe_id, True)
    assert second.public_key != first.public_key


def test_the_command_line_prints_it_and_keeps_the_key(out: Command, tmp_path: Path) -> None:
    text = out("api", "fetch", "wit")
    assert text.startswith(f"token({WEB}):\n\teyJ")
    assert f"\nhint({WEB}):\n\tmain\n" in text
    assert '\nbundle(spiffe://example.test):\n\t{"keys": [' in text
    assert '"d"' not in text
    svids, bundles = json.loads(out("api", "fetch", "wit", "-output", "json", "-spiffeID", WEB))
    (found,) = svids["svids"]
    assert (found["spiffe_id"], found["hint"]) == (WEB, "main")
    svid = wit.with_key(wit.parse(found["wit_svid"]), found["wit_svid_key"])
    keys = KeySet.import_key_set(json.loads(bundles["bundles"]["spiffe://example.test"]))
    registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    assert json.loads(jws.deserialize_compact(svid.token, keys, registry=registry).payload)["sub"] == WEB
    written = out("api", "fetch", "wit", "-write", str(tmp_path))
    assert written.endswith(f"Wrote {tmp_path}/wit.0.token\nWrote {tmp_path}/wit.0.key\n")
    assert stat.S_IMODE((tmp_path / "wit.0.key").stat().st_mode) == 0o600
    wit.with_key(wit.parse((tmp_path / "wit.0.token").read_text()), (tmp_path / "wit.0.key").read_text())
    assert "register this process" not in out("api", "fetch", "wit", "-spiffeID", "spiffe://example.test/x", status=1)


MINT = ("wit", "mint", "-spiffeID", "spiffe://example.test/minted")


def test_an_operator_mints_one_with_a_key_made_on_the_spot(out: Command, tmp_path: Path) -> None:
    token, key = out(*MINT, "-ttl", "90s").splitlines()
    svid = wit.with_key(wit.verify(token, bundle(out).bundles(), SystemClock().now()), key)
    assert (str(svid.spiffe_id), svid.algorithm) == ("spiffe://example.test/minted", "ES256")
    assert ECKey.import_key(json.loads(key)).is_private
    found = json.loads(out(*MINT, "-keyType", "rsa-2048", "-signingAlgorithm", "PS384", "-output", "json"))
    assert set(found) == {"private_key", "svid"}
    assert found["svid"]["id"] == {"trust_domain": "example.test", "path": "/minted"}
    rsa = wit.with_key(wit.parse(found["svid"]["token"]), found["private_key"])
    assert (rsa.algorithm, rsa.expires_at) == ("PS384", found["svid"]["expires_at"])
    assert out(*MINT, "-write", str(tmp_path)).splitlines() == [
        f"WIT-SVID written to {tmp_path}/token", f"Private key written to {tmp_path}/key",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    written = witkey.parse((tmp_path / "key").read_text())
    assert wit.parse((tmp_path / "token").read_text()).public_key == to_pkix(written.public_key())
    assert json.loads(out(*MINT, "-write", str(tmp_path), "-output", "json")) == {
        "wit_svid_path": f"{tmp_path}/token", "private_key_path": f"{tmp_path}/key",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("wit", "mint"), 2, "Missing option '--spiffe-id'"),
        ((*MINT, "-keyType", "ec-p384", "-signingAlgorithm", "ES256"), 2, "unsupported key type 'ec-p384'"),
        ((*MINT, "-signingAlgorithm", "none"), 2, "unsupported key type 'ec-p256' for signing algorithm 'none'"),
        ((*MINT, "-ttl=-5s"), 2, "is negative"),
        (("wit", "mint", "-spiffeID", "spiffe://other.test/x"), 1, "is not a member of trust domain"),
        ((*MINT, "-write", "/no/such"), 1, "make the folder /no/such first"),
    ],
)
def test_what_cannot_be_minted_is_refused(
    house: Deployment, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, words: str
) -> None:
    assert run([*arguments, "-socketPath", str(house.admin)]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in " ".join(captured.err.replace("│", " ").split())
