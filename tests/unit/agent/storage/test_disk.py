import errno
import os
import resource
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError, UnavailableError
from assay_agent.storage.data import AgentData, decode
from assay_agent.storage.disk import AgentStorage

GOLDEN = (Path(__file__).parent / "spire-agent-data.json").read_bytes()
CERTIFICATE = decode(GOLDEN).svid


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert AgentStorage(tmp_path).data == AgentData()


def test_a_spire_agents_folder_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "agent-data.json").write_bytes(GOLDEN)
    assert AgentStorage(tmp_path).data == decode(GOLDEN)


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    storage = AgentStorage(tmp_path)
    storage.store_svid(CERTIFICATE, reattestable=True)
    storage.store_bundle(decode(GOLDEN).bundle)
    again = AgentStorage(tmp_path).data
    assert (again.svid, again.reattestable, again.bundle) == (CERTIFICATE, True, decode(GOLDEN).bundle)


def test_deleting_the_svid_keeps_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "agent-data.json").write_bytes(GOLDEN)
    AgentStorage(tmp_path).delete_svid()
    again = AgentStorage(tmp_path).data
    assert (again.svid, again.reattestable) == ((), False)
    assert again.bundle == decode(GOLDEN).bundle


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    (tmp_path / "agent-data.json.tmp").touch(mode=0o644)
    AgentStorage(tmp_path).store_svid(CERTIFICATE, reattestable=False)
    assert stat.S_IMODE((tmp_path / "agent-data.json").stat().st_mode) == 0o600


def test_nothing_else_stays_in_the_folder(tmp_path: Path) -> None:
    AgentStorage(tmp_path).store_svid(CERTIFICATE, reattestable=False)
    assert [p.name for p in tmp_path.iterdir()] == ["agent-data.json"]


def test_an_unchanged_bundle_is_not_written_again(tmp_path: Path) -> None:
    storage = AgentStorage(tmp_path)
    storage.store_bundle(CERTIFICATE)
    before = (tmp_path / "agent-data.json").stat().st_ino
    storage.store_bundle(list(CERTIFICATE))
    assert (tmp_path / "agent-data.json").stat().st_ino == before


def test_a_damaged_file_stops_the_agent_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "agent-data.json").write_bytes(GOLDEN[:100])
    with pytest.raises(FailedPreconditionError, match="failed to open storage") as refusal:
        AgentStorage(tmp_path)
    assert "remove it to attest this node anew" in refusal.value.hint
    assert (tmp_path / "agent-data.json").read_bytes() == GOLDEN[:100]


def test_a_file_that_cannot_be_read_is_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "agent-data.json").mkdir()
    with pytest.raises(FailedPreconditionError, match="failed to read data"):
        AgentStorage(tmp_path)


@contextmanager
def full_disk(free: int) -> Iterator[None]:
    """Writing past `free` bytes fails, as on a full disk (EFBIG here, for want of a disk to fill)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="SIGXFSZ is ignored by CPython on Linux")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "agent-data.json").write_bytes(GOLDEN)
    storage = AgentStorage(tmp_path)
    before = storage.data
    with full_disk(64), pytest.raises(UnavailableError, match=os.strerror(errno.EFBIG)):
        storage.store_svid(CERTIFICATE * 2, reattestable=False)
    assert storage.data == before
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("agent-data.json", GOLDEN)]
