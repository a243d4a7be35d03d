"""go-spiffe, the standard's own client library, on the agent's socket."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from assay.clock import SystemClock
from assay.testing.deployment import Deployment

SHORT = 'default_x509_svid_ttl = "30s"'
ID = "spiffe://example.test/go"


@contextmanager
def lines(*command: str) -> Iterator[Iterator[dict[str, Any]]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield (json.loads(line) for line in process.stdout)
        finally:
            process.terminate()


@pytest.fixture
def rotating(deployments: Callable[..., Deployment]) -> Deployment:
    """A deployment whose X509-SVIDs live 30 seconds, with one identity for this user."""
    deployment = deployments(server=SHORT).start()
    deployment.register("/go")
    return deployment


def test_watch_sees_each_rotation_verified_before_the_svid_ends(gospiffe: str, rotating: Deployment) -> None:
    seen: list[dict[str, Any]] = []
    with lines(gospiffe, "watch", rotating.endpoint) as updates:
        for update in updates:
            assert update.get("verified"), update
            assert update["id"] == ID
            assert update["not_after"] > SystemClock().now().timestamp()
            if update["serial"] not in {u["serial"] for u in seen}:
                seen.append(update)
            if len(seen) == 3:
                break
    assert len(seen) == 3


def test_mtls_with_itself_never_fails_through_rotations(gospiffe: str, rotating: Deployment) -> None:
    serials: set[str] = set()
    with lines(gospiffe, "mtls", rotating.endpoint, ID) as greetings:
        for greeting in greetings:
            assert greeting["ok"], greeting
            serials.add(greeting["serial"])
            if len(serials) == 3:
                break
    assert len(serials) == 3


def test_jwt_is_valid_to_go_spiffe_and_to_the_agent(gospiffe: str, rotating: Deployment) -> None:
    done = subprocess.run(
        [gospiffe, "jwt", rotating.endpoint, "billing", "audit"], capture_output=True, text=True, check=True
    )
    svid = json.loads(done.stdout)
    assert (svid["id"], svid["local"], svid["remote"]) == (ID, ID, ID)
    assert svid["audience"] == ["billing", "audit"]


def test_bundles_hold_the_own_trust_domain(gospiffe: str, rotating: Deployment) -> None:
    done = subprocess.run([gospiffe, "bundles", rotating.endpoint], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"example.test": [1, 1]}


def test_a_caller_without_an_entry_is_told_no_identity_issued(gospiffe: str, deployment: Deployment) -> None:
    done = subprocess.run(
        [gospiffe, "jwt", deployment.endpoint, "billing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "PermissionDenied" in done.stderr
    assert "no identity issued" in done.stderr
