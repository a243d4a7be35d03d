"""What every SVID store keeps to."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.config.plugin import Plugin
from assay.errors import InvalidArgumentError
from assay.plugin.external import Host
from assay.plugin.svidstore import StoredSvid, SvidStore
from assay.testing.authority import Authority
from assay_agent.plugins import builtin

Look = Callable[[str], bytes | None]


@pytest.fixture
def store(request: pytest.FixtureRequest, kind: str, tmp_path: Path, host: Host) -> SvidStore:
    if kind == "acme":
        request.getfixturevalue("acme")
    key = "folder" if kind == "acme" else "directory"
    (tmp_path / "svids").mkdir()
    return builtin.svid_store(Plugin(kind, {key: str(tmp_path / "svids")}), host)


@pytest.fixture(params=["disk", "acme"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def look(kind: str, tmp_path: Path) -> Look:
    """What tells one SVID from another where it is kept, by name; None if there is none."""

    def looked(name: str) -> bytes | None:
        path = tmp_path / "svids" / name
        path = path / "svid.pem" if kind == "disk" else path
        return path.read_bytes() if path.exists() else None

    return looked


def svid(authority: Authority, path: str = "/web") -> StoredSvid:
    made = authority.x509_svid(path)
    return StoredSvid(made.spiffe_id, made.chain, made.key_pkcs8, (authority.root.der,))


@pytest.fixture
def authority() -> Authority:
    return Authority("example.org")


async def test_what_is_put_is_there_until_it_is_deleted(store: SvidStore, look: Look, authority: Authority) -> None:
    await store.put(["name:web"], svid(authority))
    assert look("web")
    await store.delete(["name:web"])
    assert look("web") is None


async def test_the_next_takes_the_place_of_the_last(store: SvidStore, look: Look, authority: Authority) -> None:
    await store.put(["name:web"], svid(authority))
    first = look("web")
    await store.put(["name:web"], svid(authority, "/other"))
    assert look("web") not in {None, first}


async def test_targets_do_not_disturb_each_other(store: SvidStore, look: Look, authority: Authority) -> None:
    await asyncio.gather(*(store.put([f"name:web{number}"], svid(authority, f"/{number}")) for number in range(5)))
    await store.delete(["name:web3"])
    assert [look(f"web{number}") is not None for number in range(5)] == [True, True, True, False, True]


async def test_deleting_what_is_not_there_is_no_fault(store: SvidStore) -> None:
    await store.delete(["name:none"])


@pytest.mark.parametrize("target", [[], ["name:"], ["name:../up"], ["name:/etc"], ["name:a", "name:b"], ["nonesuch:a"]])
async def test_a_target_that_makes_no_sense(
    store: SvidStore, authority: Authority, target: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgumentError):
        await store.put(target, svid(authority))
    with pytest.raises(InvalidArgumentError):
        await store.delete(target)
    assert not any((tmp_path / "svids").iterdir())
