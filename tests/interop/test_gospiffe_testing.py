# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""go-spiffe on the Workload API server for tests, and its judgement of the wrong SVIDs."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from assay.testing import InMemoryTrustDomain, WorkloadApiServer, WrongJwtSvid, WrongX509Svid

ID = "spiffe://example.org/api"
AUDIENCE = "billing"


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain("example.org")


@pytest.fixture
def server(domain: InMemoryTrustDomain) -> Iterator[WorkloadApiServer]:
    with WorkloadApiServer(domain) as server:
        yield server


def test_its_sources_hold_what_is_served_and_see_each_change(
    gospiffe: str, server: WorkloadApiServer, domain: InMemoryTrustDomain, reporting: Any
) -> None:
    server.serve("/api", hint="internal")
    with reporting(gospiffe, "sources", server.address, AUDIENCE) as held:

        def until(condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            # Each of the three hears of a change by itself, so that they may disagree for a moment.
            good = (one for one in held if one.get("verified") and one["valid"])
            return next(one for one in good if condition(one))

        first = until(lambda _: True)
        assert (first["x509"], first["jwt"], first["hint"]) == (ID, ID, "internal")
        assert (first["x509_authorities"], first["jwt_authorities"]) == (1, 1)
        server.rotate()
        second = until(lambda one: one["serial"] != first["serial"])
        domain.rotate_x509_authority()
        until(lambda one: one["x509_authorities"] == 2 and one["serial"] != second["serial"])
        domain.rotate_jwt_key()
        until(lambda one: one["jwt_authorities"] == 2)
        domain.rotate_x509_authority(forget=True)
        until(lambda one: one["x509_authorities"] == 1)
        server.stop()
        server.start()
        server.rotate()
        domain.rotate_jwt_key(forget=True)
        until(lambda one: one["jwt_authorities"] == 1)


def test_tokens_and_bundles_are_good_to_it(
    gospiffe: str, server: WorkloadApiServer, domain: InMemoryTrustDomain
) -> None:
    domain.federate(InMemoryTrustDomain("other.org"))
    server.serve("/api")
    (svid,) = ask(gospiffe, "jwt", server, AUDIENCE, "audit")
    assert (svid["id"], svid["local"], svid["remote"]) == (ID, ID, ID)
    assert ask(gospiffe, "bundles", server) == [{"example.org": [1, 1], "other.org": [1, 1]}]


def test_it_is_told_of_no_identity_and_of_outages(gospiffe: str, server: WorkloadApiServer) -> None:
    def refused() -> str:
        done = subprocess.run([gospiffe, "jwt", server.address, AUDIENCE], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        return done.stderr

    assert "PermissionDenied desc = no identity issued" in refused()
    server.serve("/api")
    server.fail("UNAVAILABLE", "restarting")
    assert "Unavailable desc = restarting" in refused()


def test_it_refuses_every_wrong_svid_and_takes_the_right_ones(
    gospiffe: str, server: WorkloadApiServer, domain: InMemoryTrustDomain
) -> None:
    server.serve("/api")
    # Here it is laxer than X509-SVID section 5.2, which asks for a path.
    wrong = [one for one in WrongX509Svid if one is not WrongX509Svid.NO_PATH]
    x509s = [domain.x509_svid("/api"), domain.x509_svid("/api", intermediate=True)]
    x509s += [domain.wrong_x509_svid(one, "/api") for one in wrong]
    jwts = [domain.jwt_svid("/api", AUDIENCE)]
    jwts += [domain.wrong_jwt_svid(one, "/api", AUDIENCE) for one in WrongJwtSvid]
    presented: list[dict[str, Any]] = [{"x509": [base64.b64encode(der).decode() for der in one.chain]} for one in x509s]
    presented += [{"jwt": one} for one in jwts]
    answers = ask(gospiffe, "verify", server, AUDIENCE, given="\n".join(map(json.dumps, presented)))
    judged = dict(zip(["right", "with intermediate", *wrong, "token", *WrongJwtSvid], answers, strict=True))
    assert [name for name, answer in judged.items() if "id" in answer] == ["right", "with intermediate", "token"]


def ask(gospiffe: str, command: str, server: WorkloadApiServer, *arguments: str, given: str = "") -> list[Any]:
    """What it prints."""
    done = subprocess.run(
        [gospiffe, command, server.address, *arguments], input=given, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
