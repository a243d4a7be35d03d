"""Identities at the edges of what the standards allow, through the agent's socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay.crypto.der import split
from assay.spiffeid import MAX_ID_BYTES
from assay.svid import x509
from assay.testing.authority import Authority, Ca
from assay.workloadapi.wire import METADATA, Stub
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent

    from assay.workloadapi import WorkloadApiClient


@pytest.mark.spec("ID-2.3-a")
async def test_the_longest_id_is_served_and_validated(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    longest = authority.id("/" + "a" * (MAX_ID_BYTES - len("spiffe://example.org/")))
    assert len(str(longest)) == MAX_ID_BYTES
    agent.register("a", longest.path)
    assert (await client.fetch_x509()).default.spiffe_id == longest
    (token,) = await client.fetch_jwt(["x"], longest)
    assert token.spiffe_id == (await client.validate_jwt("x", token.token)).spiffe_id == longest


@pytest.mark.spec("WAPI-5.1-a")
async def test_intermediates_follow_the_leaf_and_the_root_is_left_to_the_bundle(
    agent: LocalAgent, stub: Stub, authority: Authority
) -> None:
    middle = Ca.create("middle", issuer=authority.root, now=authority.now)
    svid = authority.x509_svid("/web", issuer=middle)
    agent.register("a", "/web")
    agent.cache.set_svid("a", svid)
    (sent,) = (await anext(aiter(stub.fetch_x509_svid(pb.X509SVIDRequest(), metadata=METADATA)))).svids
    chain = split(sent.x509_svid)
    assert chain == (svid.chain[0], middle.der)
    assert split(sent.bundle) == (authority.root.der,)
    assert x509.verify(chain, {authority.trust_domain: authority.bundle}, authority.now) == authority.id("/web")
