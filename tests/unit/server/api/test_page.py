"""Listings whose pages would be longer than clients take; the client here takes four MiB, gRPC's default."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from assay.bundle import Bundle, JwtAuthority
from assay.crypto import keys
from assay.keymanager.base import KeyType
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay.wire.service import AGENT, BUNDLE, TRUST_DOMAIN, served
from assay_proto.spire.api.server.agent.v1.agent_pb2 import ListAgentsRequest
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.spire.api.server.bundle.v1.bundle_pb2 import ListFederatedBundlesRequest
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_proto.spire.api.server.trustdomain.v1.trustdomain_pb2 import ListFederationRelationshipsRequest
from assay_proto.spire.api.server.trustdomain.v1.trustdomain_pb2_grpc import TrustDomainStub
from assay_server.api.agent import AgentApi
from assay_server.api.bundle import BundleApi
from assay_server.api.trustdomain import TrustDomainApi
from assay_server.attestation.nodes import NodeService
from assay_server.attestation.service import AttestationService
from assay_server.attestation.tokens import JoinTokens
from assay_server.authorization.caller import Caller, CallerKind
from assay_server.authorization.nodes import NodeRows
from assay_server.authorization.ratelimit import RateLimits
from assay_server.credential import Issuer
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import FederationRelationship, HttpsWebProfile, Node
from assay_server.model.rates import Rates
from assay_server.registration import BundleService, FederationService

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]
Listing = Callable[[int, str], Awaitable[Any]]

TD = TrustDomain("example.org")
LOCAL = Caller(CallerKind.LOCAL)
KEY = keys.to_pkix(keys.generate(KeyType.EC_P256).public_key())
NUMBERS, LONG = range(10), "k" * 900_000


def fill(tx: Transaction) -> None:
    """Ten of each kind, nine MB together; our own bundle is among the bundles."""
    for number in NUMBERS:
        name = TrustDomain(f"t{number}.test")
        tx.bundles.put(Bundle(name, (), (JwtAuthority(LONG, KEY),)))
        tx.federation_relationships.put(FederationRelationship(name, "https://t.test", HttpsWebProfile()))
        agent = SpiffeId(TD, f"/spire/agent/some/{number}")
        tx.nodes.put(Node(agent, "x509pop", "1", 2**31, selectors=(Selector("x509pop", LONG),)))
        if number == 1:
            tx.bundles.put(Bundle(TD))


@pytest.fixture(params=["agents", "bundles", "federation_relationships"])
async def listing(
    request: pytest.FixtureRequest, serve: Serve, store: SqlStore, clock: FakeClock, issuer: Issuer
) -> Listing:
    await store.write(fill)
    limits, rows = RateLimits(Rates(), clock), NodeRows(store)
    if request.param == "agents":
        nodes = NodeService(store, rows, issuer, clock)
        attestation = AttestationService(TD, {}, rows, issuer)
        api = AgentApi(TD, attestation, nodes, JoinTokens(store, clock, TD), limits)
        agents = AgentStub(await serve(served(AGENT, api), LOCAL))
        return lambda size, token: agents.ListAgents(ListAgentsRequest(page_size=size, page_token=token))
    if request.param == "bundles":
        bundles = BundleStub(await serve(served(BUNDLE, BundleApi(BundleService(store, TD), limits)), LOCAL))
        return lambda size, token: bundles.ListFederatedBundles(
            ListFederatedBundlesRequest(page_size=size, page_token=token)
        )
    federation = TrustDomainStub(await serve(served(TRUST_DOMAIN, TrustDomainApi(FederationService(store, TD))), LOCAL))
    return lambda size, token: federation.ListFederationRelationships(
        ListFederationRelationshipsRequest(page_size=size, page_token=token)
    )


@pytest.mark.parametrize("size", [1, 3, 5, 100])
async def test_a_page_too_long_for_a_message_is_cut_and_the_next_goes_on_there(listing: Listing, size: int) -> None:
    found: list[Any] = []
    token = ""
    while True:
        page = await listing(size, token)
        items = [item for _, values in page.ListFields() if not isinstance(values, str) for item in values]
        found += items
        assert len(items) <= min(size, 4)
        token = page.next_page_token
        if not token:
            break
    names = [getattr(item, "trust_domain", "") or item.id.path for item in found]
    assert [int("".join(filter(str.isdigit, name[-7:]))) for name in names] == list(NUMBERS)


async def test_who_asks_for_no_page_is_not_sent_a_part(listing: Listing) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await listing(0, "")
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
