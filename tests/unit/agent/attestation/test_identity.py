from dataclasses import replace
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError
from assay.keymanager.base import KeyType
from assay.keymanager.memory import MemoryKeyManager
from assay.testing.authority import Authority
from assay_agent.attestation.identity import AgentIdentity, NodeSvid, TrustRoots
from assay_agent.storage.disk import AgentStorage


async def test_there_are_no_credentials_before_attestation() -> None:
    identity = AgentIdentity()
    assert identity.credentials() is None
    with pytest.raises(FailedPreconditionError, match="not attested"):
        identity.current  # noqa: B018 - reading it is the test
    key = await MemoryKeyManager().generate("agent-svid-A", KeyType.EC_P256)
    svid = Authority().x509_svid("/spire/agent/a", key=key)  # type: ignore[arg-type]
    identity.use(NodeSvid(svid, key, "agent-svid-A", reattestable=False))
    assert identity.credentials() == (svid.chain, key)


def test_the_time_of_renewal_is_the_svids_own_and_lasting() -> None:
    authority = Authority()
    svids = [authority.x509_svid("/spire/agent/a") for _ in range(2)]
    times = [NodeSvid(one, one.key, "agent-svid-A", reattestable=False).renew_at() for one in svids]  # type: ignore[arg-type]
    again = NodeSvid(svids[0], svids[0].key, "agent-svid-B", reattestable=True).renew_at()  # type: ignore[arg-type]
    assert times[0] == again != times[1]


def test_the_bundle_is_trusted_and_kept(tmp_path: Path) -> None:
    roots, bundle = TrustRoots(AgentStorage(tmp_path)), Authority().bundle
    assert roots() == ()
    roots.update(bundle)
    wanted = tuple(one.der for one in bundle.x509_authorities)
    assert roots() == TrustRoots(AgentStorage(tmp_path))() == wanted


def test_a_bundle_without_authorities_does_not_undo_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roots, bundle = TrustRoots(AgentStorage(tmp_path)), Authority().bundle
    roots.update(bundle)
    roots.update(replace(bundle, x509_authorities=()))
    assert roots()
    assert TrustRoots(AgentStorage(tmp_path))()
    assert "Bundle without X.509 authorities ignored" in capsys.readouterr().out
