"""What the server says of itself, over real gRPC."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import grpc
import pytest

from assay.bundle import Bundle
from assay.crypto import keys
from assay.entry import Entry
from assay.keymanager.base import KeyType
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.authority import Authority
from assay.testing.clock import START, FakeClock
from assay.wire.service import DEBUG, served
from assay_proto.spire.api.server.debug.v1 import debug_pb2 as pb
from assay_proto.spire.api.server.debug.v1.debug_pb2_grpc import DebugStub
from assay_server.api.debug import CACHED, DebugApi
from assay_server.authorization.caller import Caller, CallerKind
from assay_server.credential import IssuedX509, Issuer
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node

if TYPE_CHECKING:
    from assay_proto.spire.api.server.debug.v1.debug_pb2_grpc import DebugAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/a")


@pytest.fixture
def own(issuer: Issuer) -> IssuedX509:
    return issuer.server_x509(keys.generate(KeyType.EC_P256).public_key())


@pytest.fixture
async def stub(
    serve: Serve, store: SqlStore, authority: Authority, clock: FakeClock, own: IssuedX509
) -> "DebugAsyncStub":
    await store.write(lambda tx: tx.bundles.put(authority.bundle))
    api = DebugApi(store, authority.trust_domain, clock, lambda: own.chain)
    return DebugStub(await serve(served(DEBUG, api), Caller(CallerKind.LOCAL)))


def entry(name: str) -> Entry:
    spiffe_id = SpiffeId(AGENT.trust_domain, f"/{name}")
    return Entry(id=name, spiffe_id=spiffe_id, parent_id=AGENT, selectors=(Selector("unix", "uid:1"),))


def fill(tx: Transaction) -> None:
    tx.entries.create(entry("one"))
    tx.entries.create(entry("two"))
    tx.entries.create(entry("three"))
    tx.nodes.put(Node(AGENT, "join_token", "1", 1))
    tx.nodes.put(Node(SpiffeId(AGENT.trust_domain, "/spire/agent/b"), "join_token", "2", 1))
    tx.bundles.put(Authority("north.test").bundle)


async def test_everything_is_counted_and_the_uptime_runs(
    stub: "DebugAsyncStub", store: SqlStore, clock: FakeClock
) -> None:
    await store.write(fill)
    clock.advance(90.7)
    info = await stub.GetInfo(pb.GetInfoRequest())
    assert (info.agents_count, info.entries_count, info.federated_bundles_count, info.uptime) == (2, 3, 2, 90)


async def test_the_chain_goes_from_the_servers_svid_to_its_authority(
    stub: "DebugAsyncStub", authority: Authority
) -> None:
    leaf, root = (await stub.GetInfo(pb.GetInfoRequest())).svid_chain
    assert (leaf.id.trust_domain, leaf.id.path) == ("example.org", "/spire/server")
    assert leaf.subject == "O=SPIRE,C=US"
    assert leaf.expires_at == int(START.timestamp()) + 3600
    certificate = authority.root.certificate
    assert root.subject == certificate.subject.rfc4514_string()
    assert not root.HasField("id")  # this authority has no name
    assert root.expires_at == int(certificate.not_valid_after_utc.timestamp())


async def test_an_answer_is_given_again_for_five_seconds(
    stub: "DebugAsyncStub", store: SqlStore, clock: FakeClock
) -> None:
    first = await stub.GetInfo(pb.GetInfoRequest())
    await store.write(fill)
    clock.advance(CACHED - 0.1)
    assert await stub.GetInfo(pb.GetInfoRequest()) == first
    clock.advance(0.1)
    again = await stub.GetInfo(pb.GetInfoRequest())
    assert (again.agents_count, again.uptime) == (2, 5)


async def refusal(stub: "DebugAsyncStub") -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.GetInfo(pb.GetInfoRequest())
    return error.value.code(), error.value.details()


async def test_a_chain_that_no_authority_stands_behind_is_not_shown(stub: "DebugAsyncStub", store: SqlStore) -> None:
    other = Authority("example.org").bundle
    await store.write(lambda tx: tx.bundles.put(other))
    code, details = await refusal(stub)
    assert code is grpc.StatusCode.INTERNAL
    assert details is not None
    assert details.startswith("failed verification against bundle: ")


async def test_a_store_that_is_gone_is_an_internal_error(stub: "DebugAsyncStub", store: SqlStore) -> None:
    await store.close()
    code, details = await refusal(stub)
    assert code is grpc.StatusCode.INTERNAL
    assert details is not None
    assert details.startswith("failed to count agents: ")


async def test_without_a_bundle_there_is_nothing_to_show(serve: Serve, store: SqlStore, clock: FakeClock) -> None:
    empty = Bundle(AGENT.trust_domain)
    api = DebugApi(store, empty.trust_domain, clock, tuple)
    stub: DebugAsyncStub = DebugStub(await serve(served(DEBUG, api), Caller(CallerKind.LOCAL)))
    assert await refusal(stub) == (grpc.StatusCode.NOT_FOUND, "trust domain bundle not found")
