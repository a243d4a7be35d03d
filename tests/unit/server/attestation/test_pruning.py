"""Forgetting agents long expired, and tokens never used."""

import asyncio

import pytest
from structlog.testing import capture_logs

from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import START, FakeClock
from assay_server.attestation.pruning import INTERVAL, JITTER, NodePruning, NodePruningSettings
from assay_server.attestation.tokens import JoinTokens
from assay_server.datastore.base import EntryFilter, NodeFilter, Page
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node

NOW = int(START.timestamp())
TD = TrustDomain("example.org")


def node(name: str, expires_at: int, *, serial: str = "5", can_reattest: bool = True) -> Node:
    return Node(SpiffeId(TD, f"/spire/agent/{name}"), "x509pop", serial, expires_at, can_reattest=can_reattest)


async def put(store: SqlStore, *nodes: Node) -> None:
    def work(tx: object) -> None:
        for one in nodes:
            tx.nodes.put(one)  # type: ignore[attr-defined]

    await store.write(work)


async def names(store: SqlStore) -> set[str]:
    nodes, _ = await store.read(lambda tx: tx.nodes.find(NodeFilter(), Page()))
    return {one.spiffe_id.path.rpartition("/")[2] for one in nodes}


ALL = (
    node("long-gone", NOW - 101),
    node("just-gone", NOW - 99),
    node("here", NOW + 100),
    node("banned", NOW - 101, serial=""),
    node("tofu", NOW - 101, can_reattest=False),
)


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        (NodePruningSettings(expired_for=None), {"long-gone", "just-gone", "here", "banned", "tofu"}),
        (NodePruningSettings(expired_for=100), {"just-gone", "here", "banned", "tofu"}),
        (NodePruningSettings(expired_for=100, tofu=True), {"just-gone", "here", "banned"}),
    ],
)
async def test_who_is_forgotten(
    store: SqlStore, clock: FakeClock, settings: NodePruningSettings, left: set[str]
) -> None:
    await put(store, *ALL)
    await NodePruning(store, clock, settings).prune()
    assert await names(store) == left


async def test_a_batch_has_a_limit(store: SqlStore, clock: FakeClock) -> None:
    await put(store, *(node(f"n{number}", NOW - 101) for number in range(5)))
    pruner = NodePruning(store, clock, NodePruningSettings(expired_for=100, batch_size=2))
    with capture_logs() as logs:
        assert [await pruner.prune() for _ in range(4)] == [2, 2, 1, 0]
    assert logs[0] == {"event": "Pruned expired agents", "log_level": "info", "count": 2}


async def test_the_alias_goes_too(store: SqlStore, clock: FakeClock) -> None:
    await JoinTokens(store, clock, TD).create(60, "abc", SpiffeId(TD, "/node"))
    await put(store, Node(SpiffeId(TD, "/spire/agent/join_token/abc"), "join_token", "5", NOW - 101))
    await NodePruning(store, clock, NodePruningSettings(expired_for=100, tofu=True)).prune()
    assert await store.read(lambda tx: tx.entries.count(EntryFilter())) == 0


async def test_tokens_are_kept_a_day_beyond_their_end(store: SqlStore, clock: FakeClock) -> None:
    tokens = JoinTokens(store, clock, TD)
    pruner = NodePruning(store, clock, NodePruningSettings())
    await tokens.create(60, "one")
    await tokens.create(60, "two")
    clock.advance(3600)
    await pruner.prune()
    with pytest.raises(InvalidArgumentError, match="join token expired"):
        await tokens.check("one")
    clock.advance(24 * 3600)
    await pruner.prune()
    with pytest.raises(InvalidArgumentError, match="join token does not exist"):
        await tokens.check("two")


async def test_it_prunes_about_once_an_hour_and_survives_a_failure(store: SqlStore, clock: FakeClock) -> None:
    await put(store, node("long-gone", NOW - 101))
    pruner = NodePruning(store, clock, NodePruningSettings(expired_for=100))
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(pruner.run())
            await clock.wait_sleepers()
            clock.advance(INTERVAL - JITTER - 1)
            assert await names(store) == {"long-gone"}
            clock.advance(2 * JITTER + 2)
            await clock.wait_sleepers()
            assert await names(store) == set()
            await store.close()
            clock.advance(INTERVAL + JITTER + 1)
            await clock.wait_sleepers()
            running.cancel()
    assert [line["event"] for line in logs] == [
        "Pruned expired agents",
        "Failed during periodic pruning of expired nodes",
    ]
