"""What every store does with attested nodes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from assay.errors import InvalidArgumentError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import Match, NodeFilter, Page, SelectorFilter, Store, Transaction
from assay_server.model import Node

ALL = NodeFilter()
EVERY = Page()


def node_id(name: str) -> SpiffeId:
    return SpiffeId(TrustDomain("example.org"), f"/spire/agent/{name}")


def a_node(name: str = "a") -> Node:
    return Node(spiffe_id=node_id(name), attestation_type="x509pop", serial="1", expires_at=100)


FULL = Node(
    spiffe_id=node_id("full"),
    attestation_type="join_token",
    serial="340282366920938463463374607431768211455",
    expires_at=2_000_000_000,
    new_serial="7",
    new_expires_at=2_000_000_600,
    can_reattest=True,
    selectors=(Selector("x509pop", "ca:fingerprint:1"), Selector("x509pop", "subject:cn:a")),
    agent_version="1.12.0",
)


def putting(node: Node) -> Callable[[Transaction], None]:
    return lambda tx: tx.nodes.put(node)


async def put(store: Store, *nodes: Node) -> None:
    for node in nodes:
        await store.write(putting(node))


async def listed(store: Store, where: NodeFilter = ALL) -> list[str]:
    nodes, token = await store.read(lambda tx: tx.nodes.find(where, EVERY))
    assert not token
    assert await store.read(lambda tx: tx.nodes.count(where)) == len(nodes)
    return [node.spiffe_id.path.rpartition("/")[2] for node in nodes]


async def test_a_node_comes_back_as_it_was_written(store: Store) -> None:
    await put(store, FULL)
    assert await store.read(lambda tx: tx.nodes.get(FULL.spiffe_id)) == FULL


async def test_an_unknown_node_is_none(store: Store) -> None:
    assert await store.read(lambda tx: tx.nodes.get(node_id("none"))) is None


async def test_put_replaces_everything_and_keeps_the_place(store: Store) -> None:
    await put(store, FULL, a_node("next"), a_node("full"))
    assert await store.read(lambda tx: tx.nodes.get(FULL.spiffe_id)) == a_node("full")
    assert await listed(store) == ["full", "next"]


async def test_delete_says_whether_there_was_one_and_takes_the_selectors_along(store: Store) -> None:
    await put(store, FULL)
    assert await store.write(lambda tx: tx.nodes.delete(FULL.spiffe_id))
    assert not await store.write(lambda tx: tx.nodes.delete(FULL.spiffe_id))
    await put(store, a_node("full"))
    assert await store.read(lambda tx: tx.nodes.get(FULL.spiffe_id)) == a_node("full")


class TestFilters:
    @pytest.fixture(autouse=True)
    async def some(self, store: Store) -> None:
        plain = a_node("plain")
        await put(
            store,
            plain,
            replace(plain, spiffe_id=node_id("banned"), serial=""),
            replace(plain, spiffe_id=node_id("renewing"), serial="", new_serial="2"),
            replace(plain, spiffe_id=node_id("token"), attestation_type="join_token"),
            replace(plain, spiffe_id=node_id("again"), can_reattest=True),
            replace(plain, spiffe_id=node_id("late"), expires_at=101),
            replace(plain, spiffe_id=node_id("known"), selectors=FULL.selectors),
        )

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            (NodeFilter(), "plain banned renewing token again late known"),
            (NodeFilter(attestation_type="join_token"), "token"),
            (NodeFilter(banned=True), "banned"),
            (NodeFilter(banned=False), "plain renewing token again late known"),
            (NodeFilter(can_reattest=True), "again"),
            (NodeFilter(can_reattest=False), "plain banned renewing token late known"),
            (NodeFilter(expires_before=101), "plain banned renewing token again known"),
            (NodeFilter(expires_before=100), ""),
            (NodeFilter(selectors=SelectorFilter(FULL.selectors, Match.EXACT)), "known"),
            (NodeFilter(selectors=SelectorFilter(FULL.selectors[:1], Match.EXACT)), ""),
            (NodeFilter(banned=True, attestation_type="join_token"), ""),
        ],
    )
    async def test_let_through(self, store: Store, where: NodeFilter, expected: str) -> None:
        assert await listed(store, where) == expected.split()

    async def test_refuse_an_empty_list(self, store: Store) -> None:
        with pytest.raises(InvalidArgumentError, match="cannot list by empty selectors set"):
            await listed(store, NodeFilter(selectors=SelectorFilter((), Match.ANY)))

    async def test_pages_go_in_order_of_first_attestation(self, store: Store) -> None:
        first, token = await store.read(lambda tx: tx.nodes.find(NodeFilter(banned=False), Page(4)))
        second, end = await store.read(lambda tx: tx.nodes.find(NodeFilter(banned=False), Page(4, token)))
        assert [node.spiffe_id for node in (*first, *second)] == [
            node_id(name) for name in ("plain", "renewing", "token", "again", "late", "known")
        ]
        assert await store.read(lambda tx: tx.nodes.find(NodeFilter(banned=False), Page(4, end))) == ([], "")
