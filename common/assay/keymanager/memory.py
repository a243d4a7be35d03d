"""Keys that live as long as the process: a restarted server makes new authorities, the old ones stay published."""

import asyncio

from assay.crypto.keys import generate
from assay.keymanager.base import KeyType, SigningKey


class MemoryKeyManager:
    """Implements KeyManager without a trace on disk."""

    def __init__(self) -> None:
        self._keys: dict[str, SigningKey] = {}

    async def generate(self, key_id: str, key_type: KeyType) -> SigningKey:
        """Make a key and put it in place of the one with that ID."""
        key = await asyncio.to_thread(generate, key_type)
        self._keys[key_id] = key
        return key

    async def get(self, key_id: str) -> SigningKey | None:
        """The key with that ID, if there is one."""
        return self._keys.get(key_id)
