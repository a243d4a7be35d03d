from pathlib import Path

import pytest

from assay.config.plugin import Plugin
from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.keymanager.base import KeyType
from assay.keymanager.memory import MemoryKeyManager
from assay.plugin.external import Host
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay_agent.plugins import builtin

HOST = Host(TrustDomain("example.org"), FakeClock(), Path("data"))
POP = Plugin("x509pop", {"private_key_path": "k", "certificate_path": "c"})


async def test_the_disk_key_manager_makes_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "agent"
    keys = builtin.key_manager(Plugin("disk", {"directory": str(folder)}), HOST)
    await keys.generate("agent-svid-A", KeyType.EC_P256)
    assert (folder / "keys.json").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FailedPreconditionError, match="cannot be made: Not a directory; set directory to"):
        builtin.key_manager(Plugin("disk", {"directory": str(tmp_path / "file" / "below")}), HOST)


def test_the_memory_key_manager() -> None:
    assert isinstance(builtin.key_manager(Plugin("memory"), HOST), MemoryKeyManager)


@pytest.mark.parametrize(
    ("plugin", "token", "file", "wanted"),
    [
        (POP, "", None, "x509pop"),
        (POP, "token", None, "join_token"),
        (POP, "", Path("token"), "join_token"),
        (Plugin("join_token"), "", None, "join_token"),
    ],
)
def test_a_token_decides_over_the_configured_attestor(
    plugin: Plugin, token: str, file: Path | None, wanted: str
) -> None:
    assert builtin.node_attestor(plugin, token, file, HOST).type == wanted


@pytest.mark.parametrize("data", [{}, {"discover_workload_path": True, "workload_size_limit": 5}])
def test_the_unix_attestor(data: dict[str, object]) -> None:
    assert builtin.workload_attestor(Plugin("unix", data), HOST).name == "unix"


def test_unknown_plugins_are_named() -> None:
    unknown = Plugin("nonesuch")
    for make in (
        lambda: builtin.key_manager(unknown, HOST),
        lambda: builtin.node_attestor(unknown, "", None, HOST),
        lambda: builtin.workload_attestor(unknown, HOST),
    ):
        with pytest.raises(InvalidArgumentError, match="nonesuch"):
            make()
