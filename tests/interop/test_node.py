# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""A workload in Node, with grpc-js and Node's own crypto: gRPC and TLS that are neither Go's nor Python's."""

import json
import subprocess
from typing import Any

import pytest

from assay.clock import SystemClock
from assay.testing.deployment import TRUST_DOMAIN, Deployment

ID = f"spiffe://{TRUST_DOMAIN}/workload"
SVIDS = 3
"""The first and two rotations."""
METHODS = 5
"""Those that the program calls without the header."""


def said(command: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_its_stream_and_mtls_go_through_two_rotations(node: Any, rotating: Deployment, reporting: Any) -> None:
    with (
        reporting(*node("watch", rotating)) as updates,
        reporting(*node("mtls", rotating, ID)) as greetings,
    ):
        watched: set[str] = set()
        while len(watched) < SVIDS:
            update = next(updates)
            assert (update["id"], update["san"]) == (ID, f"URI:{ID}")
            assert (update["verified"], update["own"]) == (True, True)
            assert update["notAfter"] > SystemClock().now().timestamp()
            watched.add(update["serial"])
        greeted: set[str] = set()
        while len(greeted) < SVIDS:
            greeting = next(greetings)
            assert greeting["said"] == "welcome"
            greeted.add(greeting["serial"])
    assert greeted <= watched


def test_its_jwt_svid_is_valid_to_node_and_to_the_agent(node: Any, rotating: Deployment) -> None:
    (svid,) = said(node("jwt", rotating, TRUST_DOMAIN, "billing", "audit"))
    assert (svid["id"], svid["aud"]) == (ID, ["billing", "audit"])
    assert (svid["signed"], svid["validated"], svid["refused"]) == (True, ID, "INVALID_ARGUMENT")


@pytest.mark.spec("WEP-6-a")
def test_without_the_security_header_it_is_told_nothing(node: Any, rotating: Deployment) -> None:
    answers = said(node("bare", rotating))
    assert answers == METHODS * [{"code": "INVALID_ARGUMENT", "details": "security header missing from request"}]


def test_without_an_entry_it_is_told_no_identity_issued(node: Any, deployment: Deployment) -> None:
    assert said(node("jwt", deployment, TRUST_DOMAIN, "billing")) == [
        {"code": "PERMISSION_DENIED", "details": "no identity issued"}
    ]
