"""Endpoint addresses (Workload Endpoint, section 4)."""

from pathlib import Path

import pytest

from assay.errors import InvalidArgumentError
from assay.workloadapi import Endpoint


@pytest.mark.spec("WEP-4-b")
@pytest.mark.spec("WEP-4-d")
@pytest.mark.spec("WEP-4-e")
@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("unix:/run/api.sock", "unix:/run/api.sock"),
        ("unix:///run/api.sock", "unix:/run/api.sock"),
        ("unix:///run/with%20space", "unix:/run/with%20space"),
        ("unix:/run/with space", "unix:/run/with%20space"),
        ("tcp://127.0.0.1:80", "ipv4:127.0.0.1:80"),
        ("tcp://[::1]:8080", "ipv6:[::1]:8080"),
        ("tcp://[0:0::1]:65535", "ipv6:[::1]:65535"),
    ],
)
def test_good_addresses(uri: str, target: str) -> None:
    assert Endpoint.parse(uri).target == target


@pytest.mark.parametrize(
    "uri",
    [
        *[pytest.param(uri, marks=pytest.mark.spec("WEP-4-b")) for uri in ("", "/p", "http://1.1.1.1:1", "Unix:/p")],
        *[pytest.param(uri, marks=pytest.mark.spec("WEP-4-c")) for uri in ("unix://host/p", "unix://a", "unix:////p")],
        *[
            pytest.param(uri, marks=pytest.mark.spec("WEP-4-d"))
            for uri in ("unix:rel", "unix:", "unix:/", "unix:///", "unix:///p?x", "unix:/p#f", "unix:/p?", "unix:p?q")
        ],
        *[
            pytest.param(uri, marks=pytest.mark.spec("WEP-4-e"))
            for uri in ("tcp://localhost:80", "tcp://1.1.1:80", "tcp://[zz]:80", "tcp://::1:80", "tcp://[1.1.1.1]:80")
        ],
        *[
            pytest.param(uri, marks=pytest.mark.spec("WEP-4-f"))
            for uri in ("tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:0", "tcp://127.0.0.1:65536", "tcp://[::1]")
        ],
        *[
            pytest.param(uri, marks=pytest.mark.spec("WEP-4-g"))
            for uri in ("tcp://127.0.0.1:80/", "tcp://127.0.0.1:80?x", "tcp://u@127.0.0.1:80", "tcp:127.0.0.1:80", "tcp://1.1.1.1:+1")
        ],
    ],
)  # fmt: skip
def test_bad_addresses(uri: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is invalid"):
        Endpoint.parse(uri)


@pytest.mark.spec("WEP-4-a")
def test_the_environment_names_the_endpoint_or_there_is_none() -> None:
    assert Endpoint.from_environment({"SPIFFE_ENDPOINT_SOCKET": "unix:/p"}) == Endpoint.parse("unix:/p")
    for environment in ({}, {"SPIFFE_ENDPOINT_SOCKET": ""}):
        with pytest.raises(InvalidArgumentError, match="not configured"):
            Endpoint.from_environment(environment)


def test_a_path_may_be_relative_and_hold_anything() -> None:
    assert Endpoint.of_path(Path("api 1.sock")).target == f"unix:{Path.cwd()}/api%201.sock"
