"""What every key manager keeps to."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from assay.config.plugin import Plugin
from assay.crypto.keys import same_key
from assay.keymanager import KeyManager, KeyType
from assay.plugin.external import Host
from assay_agent.plugins import builtin


@pytest.fixture(params=["disk", "memory", "acme"])
def keys(request: pytest.FixtureRequest, tmp_path: Path, host: Host) -> KeyManager:
    if request.param == "acme":
        request.getfixturevalue("acme")
    data = {"directory": str(tmp_path)} if request.param == "disk" else {}
    return builtin.key_manager(Plugin(request.param, data), host)


async def test_knows_nothing_at_first(keys: KeyManager) -> None:
    assert await keys.get("x509-CA-A") is None


async def test_gives_back_what_it_made(keys: KeyManager) -> None:
    made = await keys.generate("x509-CA-A", KeyType.EC_P256)
    found = await keys.get("x509-CA-A")
    assert found is not None
    assert same_key(found.public_key(), made.public_key())
    assert await keys.get("x509-CA-B") is None


async def test_a_new_key_takes_the_place_of_the_old(keys: KeyManager) -> None:
    first = await keys.generate("a", KeyType.EC_P256)
    other = await keys.generate("b", KeyType.EC_P256)
    second = await keys.generate("a", KeyType.EC_P256)
    found, untouched = await keys.get("a"), await keys.get("b")
    assert found is not None
    assert untouched is not None
    assert same_key(found.public_key(), second.public_key())
    assert not same_key(first.public_key(), second.public_key())
    assert same_key(untouched.public_key(), other.public_key())


@pytest.mark.parametrize(
    ("key_type", "size"), [(KeyType.EC_P256, 256), (KeyType.EC_P384, 384), (KeyType.RSA_2048, 2048)]
)
async def test_makes_the_type_asked_for(keys: KeyManager, key_type: KeyType, size: int) -> None:
    key = await keys.generate("a", key_type)
    assert key.key_size == size
    assert isinstance(key, ec.EllipticCurvePrivateKey) == key_type.value.startswith("ec-")


async def test_keys_that_are_made_at_once_are_all_kept(keys: KeyManager) -> None:
    made = await asyncio.gather(*(keys.generate(f"key-{number}", KeyType.EC_P256) for number in range(8)))
    for number, key in enumerate(made):
        found = await keys.get(f"key-{number}")
        assert found is not None
        assert same_key(found.public_key(), key.public_key())
