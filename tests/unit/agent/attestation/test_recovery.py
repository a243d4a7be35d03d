from dataclasses import replace
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError
from assay.keymanager.base import KeyType
from assay.keymanager.disk import DiskKeyManager
from assay.keymanager.memory import MemoryKeyManager
from assay.spiffeid import TrustDomain
from assay.testing.authority import Authority
from assay_agent.attestation.recovery import recover
from assay_agent.storage.data import AgentData

TD = TrustDomain("example.org")


async def life(slot: str = "agent-svid-A") -> tuple[Authority, MemoryKeyManager, AgentData]:
    authority, keys = Authority(), MemoryKeyManager()
    svid = authority.x509_svid("/spire/agent/a", key=await keys.generate(slot, KeyType.EC_P256))  # type: ignore[arg-type]
    return authority, keys, AgentData(svid=svid.chain, reattestable=True)


@pytest.mark.parametrize("slot", ["agent-svid-A", "agent-svid-B"])
async def test_svid_and_key_are_found_again(slot: str) -> None:
    authority, keys, data = await life(slot)
    found = await recover(data, keys, TD, authority.now.timestamp())
    assert found.node is not None
    assert (found.node.svid.chain, found.node.slot, found.node.reattestable) == (data.svid, slot, True)
    assert found.node.key is await keys.get(slot)


async def test_a_key_made_for_a_renewal_that_never_came_is_no_harm() -> None:
    authority, keys, data = await life("agent-svid-A")
    await keys.generate("agent-svid-B", KeyType.EC_P256)
    found = await recover(data, keys, TD, authority.now.timestamp())
    assert found.node is not None
    assert found.node.slot == "agent-svid-A"


async def test_an_expired_svid_is_left_but_its_slot_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    authority, keys, data = await life("agent-svid-A")
    found = await recover(data, keys, TD, authority.now.timestamp() + 3600)
    assert (found.node, found.slot) == (None, "agent-svid-A")
    assert "SVID key recovered, but SVID is expired. Generating new keypair" in capsys.readouterr().out


async def test_an_svid_without_any_key_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    authority, _, data = await life()
    found = await recover(data, MemoryKeyManager(), TD, authority.now.timestamp())
    assert (found.node, found.slot) == (None, None)
    assert "SVID recovered, but no keys found. Generating new keypair" in capsys.readouterr().out


async def test_an_svid_without_its_key_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    authority, keys, data = await life()
    await keys.generate("agent-svid-A", KeyType.EC_P256)
    assert (await recover(data, keys, TD, authority.now.timestamp())).node is None
    assert "SVID recovered, but no SVID key found. Generating new keypair" in capsys.readouterr().out


async def test_keys_without_svid_are_left(capsys: pytest.CaptureFixture[str]) -> None:
    _, keys, _ = await life()
    assert (await recover(AgentData(), keys, TD, 0)).node is None
    assert "Keys recovered, but no SVID found. Generating new keypair" in capsys.readouterr().out


async def test_nothing_is_nothing() -> None:
    found = await recover(AgentData(), MemoryKeyManager(), TD, 0)
    assert (found.node, found.slot) == (None, None)


async def test_a_certificate_that_is_no_svid_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    authority, keys, data = await life()
    assert (await recover(replace(data, svid=(authority.root.der,)), keys, TD, 0)).node is None
    assert "Could not get agent SVID from path" in capsys.readouterr().out


async def test_another_trust_domains_svid_is_refused() -> None:
    authority, keys, data = await life()
    with pytest.raises(FailedPreconditionError, match="trust domain"):
        await recover(data, keys, TrustDomain("other.example"), authority.now.timestamp())


async def test_a_spire_agents_keys_and_data_go_together(tmp_path: Path) -> None:
    authority, keys, data = await life("agent-svid-B")
    disk = DiskKeyManager(tmp_path / "keys.json")
    made = authority.x509_svid("/spire/agent/a", key=await disk.generate("agent-svid-B", KeyType.EC_P256))  # type: ignore[arg-type]
    del keys
    again = DiskKeyManager(tmp_path / "keys.json")
    found = await recover(replace(data, svid=made.chain), again, TD, authority.now.timestamp())
    assert found.node is not None
