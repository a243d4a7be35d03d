# ruff: noqa: ANN401 - classes of conftest.py cannot be named here
import asyncio
from dataclasses import replace
from typing import Any

import pytest
from grpc import StatusCode

from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError, PermissionDeniedError
from assay.keymanager.base import KeyType
from assay_agent.attestation.bootstrap import BundleFormat, FileSource, InsecureSource
from assay_agent.attestation.bootstrapping import Bootstrapping
from assay_agent.attestation.node import NodeAttestation
from assay_proto.spire.api.types.x509svid_pb2 import X509SVID

NO_TOKEN = InvalidArgumentError("failed to attest: join token does not exist or has already been used")


async def test_the_first_attestation_is_stored(agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]) -> None:
    node = await agent.attestation.establish()
    assert str(node.spiffe_id) == "spiffe://example.org/spire/agent/test"
    assert agent.storage.data.svid == node.svid.chain
    assert agent.storage.data.bundle == (sim.authority.root.der,)
    assert agent.anonymous_roots == [(sim.authority.root.der,)]
    out = capsys.readouterr().out
    assert "SVID is not found. Starting node attestation" in out
    assert "Node attestation was successful" in out


async def test_a_restart_does_not_attest_again(agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = await agent.attestation.establish()
    agent.restart()
    node = await agent.attestation.establish()
    assert node.svid.chain == before.svid.chain
    assert node.slot == before.slot
    assert sim.attested == 1
    assert "SVID loaded" in capsys.readouterr().out


@pytest.mark.parametrize("reattestable", [True, False])
async def test_whether_it_may_attest_again_is_remembered(reattestable: bool, agent: Any, sim: Any) -> None:
    sim.reattestable = reattestable
    await agent.attestation.establish()
    agent.restart()
    assert (await agent.attestation.establish()).reattestable is reattestable


async def test_an_expired_svid_makes_it_attest_with_a_key_in_the_other_slot(agent: Any, sim: Any) -> None:
    first = await agent.attestation.establish()
    sim.clock.advance(sim.lifetime)
    agent.restart()
    second = await agent.attestation.establish()
    assert sim.attested == 2
    assert (first.slot, second.slot) == ("agent-svid-A", "agent-svid-B")
    # The bundle of the last run counts, not the file it first came from.
    assert agent.anonymous_roots == [(sim.authority.root.der,)] * 2


async def test_failures_are_tried_again_for_a_minute(agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sim.refusals = [NO_TOKEN] * 20
    async with asyncio.TaskGroup() as group:
        attesting = group.create_task(_failure(agent.attestation))
        for seconds in (5, 7.5, 11.25, 16.875):
            await sim.clock.wait_sleepers()
            sim.clock.advance(seconds)
    assert attesting.result() == NO_TOKEN.message
    assert len(sim.refusals) == 15
    assert capsys.readouterr().out.count("Failed to retrieve attestation result") == 4


async def test_a_later_success_is_a_success(agent: Any, sim: Any) -> None:
    sim.refusals = [NO_TOKEN]
    async with asyncio.TaskGroup() as group:
        attesting = group.create_task(agent.attestation.establish())
        await sim.clock.wait_sleepers()
        sim.clock.advance(5)
    assert attesting.result().slot == "agent-svid-A"
    key = "node.attestor.new_svid"
    assert [count for count in agent.metrics.counts().items() if count[0][0] == key] == [
        ((key, "InvalidArgument"), 1), ((key, "OK"), 1),
    ]  # fmt: skip
    assert {labels["attestor"] for _, name, labels, _ in agent.metrics.taken if name == key} == {"join_token"}
    tried = [value for _, name, _, value in agent.metrics.taken if name == "bootstrap_attempts"]
    assert tried == [1, 2, 0]
    assert [value for _, name, _, value in agent.metrics.taken if name == "bootstrapped"] == [0, 0, 1]


async def test_a_denied_permission_is_final(agent: Any, sim: Any) -> None:
    sim.refusals = [PermissionDeniedError("failed to attest: agent is banned")]
    with pytest.raises(PermissionDeniedError, match="agent is banned"):
        await agent.attestation.establish()
    assert sim.clock.sleepers == 0


async def test_without_bundle_and_without_leave_nothing_is_dialled(agent: Any, sim: Any) -> None:
    missing = FileSource(agent.folder / "missing", BundleFormat(sim.authority.trust_domain))
    parts = replace(agent.parts, bootstrap=Bootstrapping(missing, agent.storage, sim.clock))
    async with asyncio.TaskGroup() as group:
        attesting = group.create_task(_failure(NodeAttestation(parts)))
        for _ in range(2):
            await sim.clock.wait_sleepers()
            sim.clock.advance(30)
    assert "could not parse trust bundle" in attesting.result()
    assert agent.anonymous_roots == []


async def test_an_insecure_bootstrap_believes_the_server_once(
    agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = replace(agent.parts, bootstrap=Bootstrapping(InsecureSource(), agent.storage, sim.clock))
    await NodeAttestation(parts).establish()
    assert agent.anonymous_roots == [()]
    assert agent.roots() == (sim.authority.root.der,)
    assert "Insecure bootstrap enabled; skipping server certificate verification" in capsys.readouterr().out


async def test_an_svid_without_bundle_is_no_reason_to_believe_any_server(agent: Any, sim: Any) -> None:
    node = await agent.attestation.establish()
    (agent.folder / "agent-data.json").unlink()
    agent.restart()
    agent.storage.store_svid(node.svid.chain, reattestable=False)
    agent.restart()
    parts = replace(agent.parts, bootstrap=Bootstrapping(InsecureSource(), agent.storage, sim.clock))
    with pytest.raises(FailedPreconditionError, match="SVID loaded but no bundle in cache"):
        await NodeAttestation(parts).establish()


async def test_an_svid_without_stored_bundle_is_used_with_the_configured_one(agent: Any, sim: Any) -> None:
    node = await agent.attestation.establish()
    (agent.folder / "agent-data.json").unlink()
    agent.restart()
    agent.storage.store_svid(node.svid.chain, reattestable=False)
    agent.restart()
    assert (await agent.attestation.establish()).svid.chain == node.svid.chain
    assert agent.roots() == (sim.authority.root.der,)


async def test_a_crash_after_the_attestation_does_not_cost_the_svid(agent: Any, sim: Any) -> None:
    asked = asyncio.Event()

    async def never(_: object, __: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    sim.server.on("GetBundle", never)
    async with asyncio.TaskGroup() as group:
        attesting = group.create_task(agent.attestation.establish())
        await asked.wait()
        attesting.cancel()
    agent.restart()
    assert str((await agent.attestation.establish()).spiffe_id) == "spiffe://example.org/spire/agent/test"
    assert sim.attested == 1


async def test_a_bundle_that_is_refused_does_not_cost_the_svid(agent: Any, sim: Any) -> None:
    async def refused(_: object, context: Any) -> None:
        await context.abort(StatusCode.UNAVAILABLE, "not now")

    sim.server.on("GetBundle", refused)
    node = await agent.attestation.establish()
    assert agent.storage.data.svid == node.svid.chain
    assert agent.roots() == (sim.authority.root.der,)
    assert sim.attested == 1


async def test_an_insecure_bootstrap_needs_the_bundle(agent: Any, sim: Any) -> None:
    async def refused(_: object, context: Any) -> None:
        await context.abort(StatusCode.UNAVAILABLE, "not now")

    sim.server.on("GetBundle", refused)
    parts = replace(agent.parts, bootstrap=Bootstrapping(InsecureSource(), agent.storage, sim.clock))
    with pytest.raises(AssayError, match="not now"):
        await NodeAttestation(parts).attest("agent-svid-A", await _key(agent))
    assert agent.storage.data.svid == ()


async def test_an_answer_that_is_no_svid_is_not_stored(agent: Any, sim: Any) -> None:
    sim.issue = lambda _: _chain(sim.authority.root.der)
    with pytest.raises(AssayError, match="failed to parse attestation response"):
        await agent.attestation.attest("agent-svid-A", await _key(agent))
    assert agent.storage.data.svid == ()


async def test_another_keys_svid_is_not_stored(agent: Any, sim: Any) -> None:
    other = sim.authority.x509_svid("/spire/agent/test")
    sim.issue = lambda _: _chain(*other.chain)
    with pytest.raises(AssayError, match="does not belong"):
        await agent.attestation.attest("agent-svid-A", await _key(agent))
    assert agent.storage.data.svid == ()


async def test_a_full_disk_does_not_cost_the_svid(agent: Any, sim: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (agent.folder / "agent-data.json.tmp").mkdir()
    node = await agent.attestation.establish()
    assert node.svid.key is not None
    assert sim.attested == 1
    out = capsys.readouterr().out
    assert "Could not store SVID" in out
    assert "Could not store bundle" in out


async def _failure(attestation: NodeAttestation) -> str:
    with pytest.raises(AssayError) as failure:
        await attestation.establish()
    return failure.value.message


async def _key(agent: Any) -> Any:
    return await agent.keys.generate("agent-svid-A", KeyType.EC_P256)


def _chain(*chain: bytes) -> Any:
    return X509SVID(cert_chain=chain)
