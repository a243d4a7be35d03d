"""Which IDs attestation gives to agents."""

import pytest

from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.attestation.identity import join_token_agent, require_attested

TD = TrustDomain("example.org")


def spiffe_id(text: str) -> SpiffeId:
    return SpiffeId.parse(text)


def test_a_token_makes_an_agents_id() -> None:
    assert str(join_token_agent(TD, "abc")) == "spiffe://example.org/spire/agent/join_token/abc"


@pytest.mark.parametrize("token", ["", "a/b", "a b", "..", "ä", "a\n"])
def test_a_token_that_is_no_path_segment_makes_none(token: str) -> None:
    with pytest.raises(InvalidArgumentError):
        join_token_agent(TD, token)


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
