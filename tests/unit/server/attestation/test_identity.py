"""Which IDs agents and workloads may have."""

import pytest

from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.attestation.identity import (
    join_token_agent,
    require_agent,
    require_attested,
    require_workload,
)

TD = TrustDomain("example.org")


def spiffe_id(text: str) -> SpiffeId:
    return SpiffeId.parse(text)


def test_a_token_makes_an_agents_id() -> None:
    assert str(join_token_agent(TD, "abc")) == "spiffe://example.org/spire/agent/join_token/abc"


@pytest.mark.parametrize("token", ["", "a/b", "a b", "..", "ä", "a\n"])
def test_a_token_that_is_no_path_segment_makes_none(token: str) -> None:
    with pytest.raises(InvalidArgumentError):
        join_token_agent(TD, token)


def test_agents_live_under_spire_agent() -> None:
    require_agent(spiffe_id("spiffe://example.org/spire/agent/x509pop/one"), TD)
    require_workload(spiffe_id("spiffe://example.org/spiresque"), TD)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "spiffe://other.test/spire/agent/one",
            '"spiffe://other.test/spire/agent/one" is not a member of trust domain',
        ),
        ("spiffe://example.org", 'is not an agent in trust domain "example.org"; path is empty'),
        ("spiffe://example.org/spire/server", "path is not in the agent namespace"),
        ("spiffe://example.org/spire/agents/one", "path is not in the agent namespace"),
        ("spiffe://example.org/workload", "path is not in the agent namespace"),
    ],
)
def test_what_is_no_agent(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        require_agent(spiffe_id(text), TD)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("spiffe://other.test/workload", "is not a member of trust domain"),
        ("spiffe://example.org", 'is not a workload in trust domain "example.org"; path is empty'),
        ("spiffe://example.org/spire", "path is in the reserved namespace"),
        ("spiffe://example.org/spire/agent/one", "path is in the reserved namespace"),
    ],
)
def test_what_no_workload_may_have(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        require_workload(spiffe_id(text), TD)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("spiffe://example.org/spire/server", "^agent ID cannot collide with the server ID$"),
        ("spiffe://example.org/elsewhere", "invalid agent ID: .* path is not in the agent namespace"),
        ("spiffe://other.test/spire/agent/one", "invalid agent ID: .* is not a member"),
    ],
)
def test_what_an_attestor_may_not_name(text: str, reason: str) -> None:
    with pytest.raises(FailedPreconditionError, match=reason):
        require_attested(spiffe_id(text), TD)
