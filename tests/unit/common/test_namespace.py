"""Which IDs agents and workloads may have."""

import pytest

from assay.errors import InvalidArgumentError
from assay.namespace import require_agent, require_member, require_workload, server_id
from assay.spiffeid import SpiffeId, TrustDomain

TD = TrustDomain("example.org")
NO_MEMBER = 'is not a member of trust domain "example.org"'


def spiffe_id(text: str) -> SpiffeId:
    return SpiffeId.parse(text)


def test_the_server_has_one_id_in_each_trust_domain() -> None:
    assert str(server_id(TD)) == "spiffe://example.org/spire/server"


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
        ("spiffe://other.test/x", '^"spiffe://other.test/x" is not a member of trust domain "example.org"$'),
        (
            "spiffe://example.org",
            '^"spiffe://example.org" is not a member of trust domain "example.org"; path is empty',
        ),
    ],
)
def test_what_is_no_member(text: str, reason: str) -> None:
    require_member(server_id(TD), TD)
    with pytest.raises(InvalidArgumentError, match=reason):
        require_member(spiffe_id(text), TD)
