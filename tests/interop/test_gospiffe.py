# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""go-spiffe, the standard's own client library, on the agent's socket."""

import json
import subprocess
from typing import Any

import pytest

from assay.clock import SystemClock
from assay.testing.deployment import Deployment

ID = "spiffe://example.test/workload"
SVIDS = 3
"""The first and two rotations."""


def test_watch_and_mtls_go_through_two_rotations(gospiffe: str, rotating: Deployment, reporting: Any) -> None:
    with (
        reporting(gospiffe, "watch", rotating.endpoint) as updates,
        reporting(gospiffe, "mtls", rotating.endpoint, ID) as greetings,
    ):
        watched: set[str] = set()
        while len(watched) < SVIDS:
            update = next(updates)
            assert update.get("verified"), update
            assert update["id"] == ID
            # Each comes while the one before still lives, so one that has ended was never the only one.
            assert update["not_after"] > SystemClock().now().timestamp()
            watched.add(update["serial"])
        greeted: set[str] = set()
        while len(greeted) < SVIDS:
            greeting = next(greetings)
            assert greeting["ok"], greeting
            greeted.add(greeting["serial"])
        assert greeted <= watched


def test_jwt_is_valid_to_go_spiffe_and_to_the_agent(gospiffe: str, rotating: Deployment) -> None:
    done = subprocess.run(
        [gospiffe, "jwt", rotating.endpoint, "billing", "audit"], capture_output=True, text=True, check=True
    )
    svid = json.loads(done.stdout)
    assert (svid["id"], svid["local"], svid["remote"]) == (ID, ID, ID)
    assert svid["audience"] == ["billing", "audit"]


@pytest.mark.spec("WAPI-7.1-a", "WIT-1-a", "WAPI-7.2.2-b")
def test_a_wit_svid_is_valid_to_go_spiffe_and_its_key_is_the_one_that_came(
    gospiffe: str, rotating: Deployment, reporting: Any
) -> None:
    with reporting(gospiffe, "wit", rotating.endpoint, ID) as updates:
        svid = next(updates)
    assert (svid["id"], svid["own"]) == (ID, True)
    assert svid["token"].count(".") == 2


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
