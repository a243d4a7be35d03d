import asyncio
import base64
import json
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from assay.crypto.keys import same_key
from assay.errors import FailedPreconditionError, UnavailableError
from assay.keymanager import KeyType
from assay.keymanager.disk import DiskKeyManager


class FileSizeLimit(Protocol):
    def __call__(self, size: int) -> AbstractContextManager[None]: ...


@pytest.fixture
def file_size_limit() -> FileSizeLimit:
    """Files of this process cannot grow beyond a size while the context lasts: for a writer, a full disk."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)

    return limit


SPIRE_KEYS = Path(__file__).parent / "spire-keys.json"


async def test_keys_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = await DiskKeyManager(path).generate("x509-CA-A", KeyType.EC_P256)
    found = await DiskKeyManager(path).get("x509-CA-A")
    assert found is not None
    assert same_key(found.public_key(), made.public_key())


async def test_writes_spires_shape_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    await DiskKeyManager(path).generate("a", KeyType.EC_P256)
    document = json.loads(path.read_bytes())
    assert set(document) == {"keys"}
    assert set(document["keys"]) == {"a"}
    load_der_private_key(base64.b64decode(document["keys"]["a"], validate=True), None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["keys.json"]


async def test_a_file_of_spires_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(SPIRE_KEYS.read_bytes())
    keys = DiskKeyManager(path)
    assert await keys.get("x509-CA-A") is not None
    assert await keys.get("JWT-Signer-A") is not None
    await keys.generate("x509-CA-B", KeyType.EC_P256)
    before, after = json.loads(SPIRE_KEYS.read_bytes())["keys"], json.loads(path.read_bytes())["keys"]
    assert {name: after[name] for name in before} == before


async def test_keys_made_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = DiskKeyManager(path)
    await asyncio.gather(*(keys.generate(str(number), KeyType.EC_P256) for number in range(8)))
    assert set(json.loads(path.read_bytes())["keys"]) == {str(number) for number in range(8)}


@pytest.mark.parametrize("content", [b"{}", b'{"keys": null}', b'{"keys": {}}'])
async def test_a_file_may_hold_no_keys(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    assert await DiskKeyManager(path).get("a") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"[" * 100_000,
        b"[]",
        b'{"keys": []}',
        b'{"keys": {"a": 7}}',
        b'{"keys": {"a": "!"}}',
        b'{"keys": {"a": "AAAA"}}',
    ],
)
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    with pytest.raises(FailedPreconditionError, match=rf"{path} is damaged"):
        DiskKeyManager(path)
    assert path.read_bytes() == content


def test_what_cannot_be_read_is_not_taken_for_missing(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="unable to read keys file"):
        DiskKeyManager(tmp_path)


async def test_when_the_file_cannot_be_written_the_keys_before_are_unharmed(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = DiskKeyManager(path)
    before = await keys.generate("a", KeyType.EC_P256)
    content = path.read_bytes()
    blocker = tmp_path / "keys.json.tmp"
    blocker.mkdir()  # a folder in the way of the temporary file
    with pytest.raises(UnavailableError, match="unable to write keys file"):
        await keys.generate("a", KeyType.EC_P256)
    assert path.read_bytes() == content
    found = await keys.get("a")
    assert found is not None
    assert same_key(found.public_key(), before.public_key())
    blocker.rmdir()
    await keys.generate("a", KeyType.EC_P256)
    assert path.read_bytes() != content


async def test_when_the_disk_is_full_the_keys_before_are_unharmed(
    tmp_path: Path, file_size_limit: FileSizeLimit
) -> None:
    path = tmp_path / "keys.json"
    keys = DiskKeyManager(path)
    await keys.generate("a", KeyType.EC_P256)
    content = path.read_bytes()
    with file_size_limit(len(content) - 1), pytest.raises(UnavailableError, match="unable to write keys file"):
        await keys.generate("a", KeyType.EC_P256)
    assert path.read_bytes() == content
    assert names(tmp_path) == ["keys.json"]


async def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    keys = DiskKeyManager(tmp_path / "missing" / "keys.json")
    with pytest.raises(UnavailableError, match="unable to write keys file"):
        await keys.generate("a", KeyType.EC_P256)
    assert await keys.get("a") is None


async def test_a_left_over_of_a_crash_is_in_nobodys_way(tmp_path: Path) -> None:
    left_over = tmp_path / "keys.json.tmp"
    left_over.write_text("half")
    left_over.chmod(0o644)
    await DiskKeyManager(tmp_path / "keys.json").generate("a", KeyType.EC_P256)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


async def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "keys.json.tmp").symlink_to(elsewhere)
    await DiskKeyManager(tmp_path / "keys.json").generate("a", KeyType.EC_P256)
    assert not elsewhere.exists()
    assert not (tmp_path / "keys.json").is_symlink()


async def test_who_has_the_temporary_file_open_or_under_another_name_gets_no_keys(tmp_path: Path) -> None:
    other_name = tmp_path / "other"
    other_name.write_text("kept")
    (tmp_path / "keys.json.tmp").hardlink_to(other_name)
    with other_name.open() as opened:
        await DiskKeyManager(tmp_path / "keys.json").generate("a", KeyType.EC_P256)
        assert opened.read() == "kept"
    assert not (tmp_path / "keys.json").samefile(other_name)


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]
