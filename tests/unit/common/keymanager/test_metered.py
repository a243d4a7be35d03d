import pytest

from assay.errors import UnavailableError
from assay.keymanager.base import KeyType, SigningKey
from assay.keymanager.memory import MemoryKeyManager
from assay.keymanager.metered import MeteredKeyManager
from assay.testing.metrics import Recorded


class Broken(MemoryKeyManager):
    """Cannot make keys, as one whose token was pulled out."""

    async def generate(self, key_id: str, key_type: KeyType) -> SigningKey:
        raise UnavailableError(f"{key_id} of {key_type} cannot be made")


async def test_what_a_key_manager_is_asked_is_counted() -> None:
    metrics = Recorded()
    keys = MeteredKeyManager(MemoryKeyManager(), metrics, "server_key_manager")
    made = await keys.generate("x509-CA-A", KeyType.EC_P256)
    assert await keys.get("x509-CA-A") is made
    assert await keys.get("none") is None
    with pytest.raises(UnavailableError):
        await MeteredKeyManager(Broken(), metrics, "server_key_manager").generate("k", KeyType.EC_P256)
    assert metrics.counts() == {
        ("server_key_manager.generate_key", "OK"): 1,
        ("server_key_manager.generate_key", "Unavailable"): 1,
        ("server_key_manager.get_public_key", "OK"): 2,
    }
