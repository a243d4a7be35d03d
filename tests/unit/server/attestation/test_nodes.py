"""What operators and agents do with nodes."""

from dataclasses import replace

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from assay.crypto import csr, keys
from assay.entry import Entry
from assay.errors import DenialReason, InvalidArgumentError, NotFoundError, PermissionDeniedError
from assay.keymanager.base import KeyType
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import START, FakeClock
from assay_server.attestation.nodes import NodeService
from assay_server.attestation.tokens import JoinTokens
from assay_server.authorization.nodes import NodeRows
from assay_server.credential import Issuer
from assay_server.datastore.base import ChangeKind, EntryFilter, NodeFilter, Page
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node

NOW = int(START.timestamp())
TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/x509pop/one")
NODE = Node(AGENT, "x509pop", serial="5", expires_at=NOW + 100, selectors=(Selector("x509pop", "subject:cn:one"),))
CSR = csr.create(keys.generate(KeyType.EC_P256))


@pytest.fixture
def rows(store: SqlStore) -> NodeRows:
    return NodeRows(store)


@pytest.fixture
def nodes(store: SqlStore, rows: NodeRows, issuer: Issuer, clock: FakeClock) -> NodeService:
    return NodeService(store, rows, issuer, clock)


async def put(store: SqlStore, node: Node = NODE) -> None:
    await store.write(lambda tx: tx.nodes.put(node))


async def stored(store: SqlStore, agent: SpiffeId = AGENT) -> Node | None:
    return await store.read(lambda tx: tx.nodes.get(agent))


async def test_looking(nodes: NodeService, store: SqlStore) -> None:
    await put(store)
    assert await nodes.get(AGENT) == NODE
    assert await nodes.list(NodeFilter(), Page()) == ([NODE], "")
    assert await nodes.count(NodeFilter(banned=True)) == 0


@pytest.mark.parametrize("act", ["get", "ban", "delete"])
async def test_an_unknown_agent_is_not_found(nodes: NodeService, act: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        await getattr(nodes, act)(AGENT)
    assert refused.value.message == "agent not found"


async def test_a_ban_empties_both_serials_and_is_seen_at_once(
    nodes: NodeService, rows: NodeRows, store: SqlStore
) -> None:
    await put(store, replace(NODE, new_serial="6", new_expires_at=NOW + 200))
    await rows.get(AGENT)
    with capture_logs() as logs:
        await nodes.ban(AGENT)
    node = await rows.get(AGENT)
    assert node is not None
    assert (node.serial, node.new_serial, node.banned) == ("", "", True)
    assert [(line["event"], line["spiffe_id"]) for line in logs] == [("Agent banned", str(AGENT))]


async def test_banning_twice_changes_nothing(nodes: NodeService, store: SqlStore) -> None:
    await put(store)
    await nodes.ban(AGENT)
    before = store.sequence
    await nodes.ban(AGENT)
    assert store.sequence == before


async def test_deleting_lifts_a_ban(nodes: NodeService, rows: NodeRows, store: SqlStore) -> None:
    await put(store, replace(NODE, serial=""))
    await rows.get(AGENT)
    with capture_logs() as logs:
        await nodes.delete(AGENT)
    assert await rows.get(AGENT) is None
    assert [line["event"] for line in logs] == ["Agent deleted"]


async def test_deleting_a_join_token_agent_takes_its_alias_and_nothing_else(
    nodes: NodeService, store: SqlStore, clock: FakeClock
) -> None:
    await JoinTokens(store, clock, TD).create(60, "abc", SpiffeId(TD, "/node"))
    agent = SpiffeId(TD, "/spire/agent/join_token/abc")
    own = Entry("own", SpiffeId(TD, "/workload"), agent, (Selector("unix", "uid:1"),))
    await store.write(lambda tx: tx.entries.create(own))
    await put(store, Node(agent, "join_token", "5", NOW + 100))
    before = store.sequence
    await nodes.delete(agent)
    entries, _ = await store.read(lambda tx: tx.entries.find(EntryFilter(), Page()))
    changes = await store.read(lambda tx: tx.changes.since(before, 10))
    assert [entry.id for entry in entries] == ["own"]
    assert {change.kind for change in changes or ()} == {ChangeKind.ENTRY, ChangeKind.NODE}


async def test_deleting_another_agent_leaves_what_looks_like_an_alias(nodes: NodeService, store: SqlStore) -> None:
    await put(store)
    like = Entry("like", SpiffeId(TD, "/node"), AGENT, (Selector("spiffe_id", str(AGENT)),))
    await store.write(lambda tx: tx.entries.create(like))
    await nodes.delete(AGENT)
    assert await store.read(lambda tx: tx.entries.count(EntryFilter())) == 1


async def test_renewal_keeps_the_present_svid_good(nodes: NodeService, store: SqlStore) -> None:
    await put(store)
    svid = await nodes.renew(AGENT, CSR)
    leaf = x509.load_der_x509_certificate(svid.chain[0])
    assert (str(leaf.serial_number), svid.spiffe_id) == (svid.serial, AGENT)
    expected = replace(NODE, new_serial=svid.serial, new_expires_at=svid.not_after)
    assert await stored(store) == expected


async def test_a_second_renewal_replaces_the_first(nodes: NodeService, store: SqlStore) -> None:
    await put(store)
    await nodes.renew(AGENT, CSR)
    svid = await nodes.renew(AGENT, CSR)
    node = await stored(store)
    assert node is not None
    assert (node.serial, node.new_serial) == ("5", svid.serial)


async def test_who_can_attest_again_must(nodes: NodeService, store: SqlStore) -> None:
    await put(store, replace(NODE, can_reattest=True))
    with pytest.raises(PermissionDeniedError, match=r"^agent must reattest instead of renew$") as refused:
        await nodes.renew(AGENT, CSR)
    assert refused.value.reason is DenialReason.AGENT_MUST_REATTEST


async def test_renewal_of_an_unknown_agent(nodes: NodeService) -> None:
    with pytest.raises(NotFoundError, match="agent not found"):
        await nodes.renew(AGENT, CSR)


async def test_a_ban_that_came_first_wins_over_a_renewal(nodes: NodeService, rows: NodeRows, store: SqlStore) -> None:
    await put(store)
    await rows.get(AGENT)
    await put(store, replace(NODE, serial=""))  # as another process would, unseen by the rows at hand
    with pytest.raises(PermissionDeniedError) as refused:
        await nodes.renew(AGENT, CSR)
    assert refused.value.reason is DenialReason.AGENT_BANNED
    assert await stored(store) == replace(NODE, serial="")


@pytest.mark.parametrize(
    ("request_der", "reason"),
    [(b"", "^missing CSR$"), (b"nonsense", "^failed to parse CSR: "), (CSR[:-1] + bytes([CSR[-1] ^ 1]), "signature")],
)
async def test_renewal_needs_a_csr(nodes: NodeService, store: SqlStore, request_der: bytes, reason: str) -> None:
    await put(store)
    with pytest.raises(InvalidArgumentError, match=reason):
        await nodes.renew(AGENT, request_der)
    assert await stored(store) == NODE


async def test_a_status_is_kept_and_written_only_when_it_differs(nodes: NodeService, store: SqlStore) -> None:
    await put(store)
    await nodes.post_status(AGENT, "1.15.3")
    assert await stored(store) == replace(NODE, agent_version="1.15.3")
    before = store.sequence
    await nodes.post_status(AGENT, "1.15.3")
    await nodes.post_status(AGENT, "")
    assert store.sequence == before


async def test_a_status_has_a_limit(nodes: NodeService, store: SqlStore) -> None:
    await put(store)
    await nodes.post_status(AGENT, "v" * 255)
    with pytest.raises(InvalidArgumentError, match=r"^agent version is too long \(max 255 characters\)$"):
        await nodes.post_status(AGENT, "é" * 127 + "vv")
    assert await stored(store) == replace(NODE, agent_version="v" * 255)


async def test_a_status_of_an_unknown_agent(nodes: NodeService) -> None:
    with pytest.raises(NotFoundError, match="agent not found"):
        await nodes.post_status(AGENT, "1.0")
