"""The join-token attestor is the tokens' door."""

import pytest

from assay.errors import InvalidArgumentError
from assay.plugin.nodeattestor import AttestedNode
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.attestation.tokens import JoinTokens
from assay_server.datastore.sql.store import SqlStore
from assay_server.plugins.nodeattestor_join_token import JoinTokenAttestor

TD = TrustDomain("example.org")


async def unasked(_challenge: bytes) -> bytes:
    raise AssertionError("there is no challenge")


@pytest.fixture
def tokens(store: SqlStore, clock: FakeClock) -> JoinTokens:
    return JoinTokens(store, clock, TD)


async def test_a_token_admits_its_agent(tokens: JoinTokens) -> None:
    await tokens.create(60, "abc")
    node = await JoinTokenAttestor(tokens).attest(b"abc", unasked)
    assert node == AttestedNode(SpiffeId(TD, "/spire/agent/join_token/abc"), (), can_reattest=False)


@pytest.mark.parametrize("payload", [b"other", b"\xff\xfe", b"abc\x00"])
async def test_anything_else_does_not(tokens: JoinTokens, payload: bytes) -> None:
    await tokens.create(60, "abc")
    with pytest.raises(InvalidArgumentError, match="failed to attest: join token does not exist"):
        await JoinTokenAttestor(tokens).attest(payload, unasked)
