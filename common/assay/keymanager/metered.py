"""A key manager that counts and times what it is asked for."""

from assay.keymanager.base import KeyManager, KeyType, SigningKey
from assay.telemetry.metrics import Metrics, measured


class MeteredKeyManager:
    """The key manager behind it; `name` begins the metrics' names, such as `server_key_manager`, `get` ends one."""

    def __init__(self, keys: KeyManager, metrics: Metrics, name: str, get: str = "get_public_key") -> None:
        self._keys = keys
        self._metrics = metrics
        self._name = name
        self._get = get

    async def generate(self, key_id: str, key_type: KeyType) -> SigningKey:
        """As the key manager's, counted."""
        with measured(self._metrics, (self._name, "generate_key")):
            return await self._keys.generate(key_id, key_type)

    async def get(self, key_id: str) -> SigningKey | None:
        """As the key manager's, counted."""
        with measured(self._metrics, (self._name, self._get)):
            return await self._keys.get(key_id)
