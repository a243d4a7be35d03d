"""SVIDs in files: modes, names, and what a crash at any moment leaves."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from assay.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from assay.plugin.svidstore import StoredSvid
from assay.svid import X509Svid
from assay.testing.authority import Authority
from assay_agent.plugins.svidstore_disk import DiskStore, Target

# Puts one SVID after the other and prints a line after each.
WRITER = """
import asyncio, sys
from pathlib import Path
from assay.plugin.svidstore import StoredSvid
from assay.testing.authority import Authority
from assay_agent.plugins.svidstore_disk import DiskStore

async def main():
    authority, store = Authority("example.org"), DiskStore(Path(sys.argv[1]))
    svids = [authority.x509_svid("/web") for _ in range(4)]
    number = 0
    while True:
        one = svids[number % 4]
        await store.put(["name:web"], StoredSvid(one.spiffe_id, one.chain, one.key_pkcs8, (authority.root.der,)))
        number += 1
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("example.org")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "svids"


@pytest.fixture
def store(folder: Path) -> DiskStore:
    return DiskStore(folder)


def svid(authority: Authority, *federated: Authority) -> StoredSvid:
    made = authority.x509_svid("/web")
    others = {one.trust_domain: (one.root.der,) for one in federated}
    return StoredSvid(made.spiffe_id, made.chain, made.key_pkcs8, (authority.root.der,), others)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pair_of(folder: Path) -> X509Svid:
    """The certificate and the key; raises when they do not belong together."""
    at = folder.resolve()
    chain = x509.load_pem_x509_certificates((at / "svid.pem").read_bytes())
    key = load_pem_private_key((at / "svid.key").read_bytes(), None)
    return X509Svid.parse([one.public_bytes(Encoding.DER) for one in chain], key)  # type: ignore[arg-type]


@pytest.mark.usefixtures("umask")
async def test_the_key_is_its_owners_alone(store: DiskStore, folder: Path, authority: Authority) -> None:
    other = Authority("other.test")
    await store.put(["name:web"], svid(authority, other))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder / "web").iterdir()}
    assert modes == {
        "svid.key": 0o600, "svid.pem": 0o644, "bundle.pem": 0o644, "federated_bundle.other.test.pem": 0o644,
    }  # fmt: skip
    assert [one.stat().st_mode & 0o777 for one in (folder / "web", folder)] == [0o755, 0o755]


@pytest.fixture
def umask() -> Iterator[None]:
    """As strict as umasks are."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_the_files_are_whose_the_selectors_say(store: DiskStore, folder: Path, authority: Authority) -> None:
    await store.put(["gid:4321", "name:web", "uid:1234"], svid(authority))
    found = (folder / "web" / "svid.key").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 4321, 0o600)


async def test_nothing_of_the_last_is_left(store: DiskStore, folder: Path, authority: Authority) -> None:
    for _ in range(3):
        await store.put(["name:web"], svid(authority))
    assert len(names_in(folder)) == 2, "the link and what it leads to"
    await store.delete(["name:web"])
    assert names_in(folder) == []


async def test_a_name_that_begins_like_another_is_another(store: DiskStore, folder: Path, authority: Authority) -> None:
    for name in ("a", "a.b", "a.0123abcd"):
        await store.put([f"name:{name}"], svid(authority))
    await store.put(["name:a"], svid(authority))
    await store.delete(["name:a"])
    for name in ("a.b", "a.0123abcd"):
        pair_of(folder / name)


async def test_what_is_not_ours_is_not_touched(store: DiskStore, folder: Path, authority: Authority) -> None:
    (folder / "web").mkdir(parents=True)
    (folder / "web" / "precious").write_text("x")
    with pytest.raises(FailedPreconditionError, match="is not the agent's"):
        await store.put(["name:web"], svid(authority))
    await store.delete(["name:web"])
    assert (folder / "web" / "precious").read_text() == "x"


async def test_one_name_is_not_for_two_users(store: DiskStore, folder: Path, authority: Authority) -> None:
    await store.put(["name:web"], svid(authority))
    with pytest.raises(FailedPreconditionError, match="another entry's"):
        await store.put(["name:web", f"uid:{os.geteuid()}"], svid(authority))
    await store.delete(["name:web", f"uid:{os.geteuid()}"])
    pair_of(folder / "web")
    await store.delete(["name:web"])
    await store.put(["name:web", f"uid:{os.geteuid()}"], svid(authority))


def test_a_folder_that_cannot_be_made_is_tried_again(store: DiskStore, folder: Path, authority: Authority) -> None:
    folder.write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot write"):
        asyncio.run(store.put(["name:web"], svid(authority)))
    folder.unlink()
    asyncio.run(store.put(["name:web"], svid(authority)))
    pair_of(folder / "web")


@pytest.mark.parametrize(
    "values",
    [[], ["name:"], ["name:."], ["name:.."], ["name:.a"], ["name:a/b"], ["name:a\n"], ["name:" + "a" * 101],
     ["uid:1"], ["name:a", "name:b"], ["name:a", "uid:x"], ["name:a", "uid:-1"], ["name:a", "gid:4294967295"],
     ["name:a", "mode:1"]],
)  # fmt: skip
def test_targets_that_make_no_sense(values: list[str]) -> None:
    with pytest.raises(InvalidArgumentError):
        Target.parse(values)


def test_a_directory_is_needed() -> None:
    with pytest.raises(InvalidArgumentError, match="directory is required"):
        DiskStore.configure({})


def read_pair(link: Path) -> None:
    """As a program does that follows the link: it is always there, what it leads to may be the last but one."""
    while True:
        at = link.parent / link.readlink()
        try:
            pair_of(at)
        except FileNotFoundError:
            continue
        return


def test_read_and_killed_at_any_moment_a_pair_that_fits_is_there(
    store: DiskStore, folder: Path, authority: Authority
) -> None:
    for reads in range(0, 90, 11):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            for _ in range(reads):
                read_pair(folder / "web")
            writer.kill()
        pair_of(folder / "web")
    asyncio.run(store.put(["name:web"], svid(authority)))
    assert len(names_in(folder)) == 2, "what the crashes left is swept up"
