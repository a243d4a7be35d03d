"""Keys in one file, `keys.json` of SPIRE's disk key manager: {"keys": {id: base64 of PKCS #8}}."""

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from assay.crypto.keys import from_pkcs8, generate, to_pkcs8
from assay.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from assay.files import write_private
from assay.keymanager.base import KeyType, SigningKey


class DiskKeyManager:
    """Implements KeyManager over a file that only its owner reads; a file of SPIRE's is taken over as it is.

    Raises:
        FailedPreconditionError: the file is there and cannot be read or is damaged; it is left as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = _load(path)
        self._writing = asyncio.Lock()

    async def generate(self, key_id: str, key_type: KeyType) -> SigningKey:
        """Make a key and put it in place of the one with that ID; on disk when this returns.

        Raises:
            UnavailableError: the file cannot be written; the keys before are still there, in the file and here.
        """
        key = await asyncio.to_thread(generate, key_type)
        async with self._writing:
            keys = {**self._keys, key_id: key}
            await asyncio.to_thread(_save, self._path, keys)
            self._keys = keys
        return key

    async def get(self, key_id: str) -> SigningKey | None:
        """The key with that ID, if there is one."""
        return self._keys.get(key_id)


def _load(path: Path) -> dict[str, SigningKey]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FailedPreconditionError(f"unable to read keys file {path}: {error.strerror}") from None
    try:
        return {key_id: _decode(value) for key_id, value in _members(content).items()}
    except (ValueError, RecursionError, InvalidArgumentError) as error:
        reason = error.message if isinstance(error, InvalidArgumentError) else "not JSON of the expected shape"
        raise FailedPreconditionError(
            f"keys file {path} is damaged: {reason}", hint="restore it, or move it away to start with new keys"
        ) from None


def _members(content: bytes) -> Mapping[str, object]:
    document = json.loads(content)
    keys = cast("dict[str, object]", document).get("keys") if isinstance(document, dict) else None
    if keys is None and isinstance(document, dict):
        return {}
    if not isinstance(keys, dict):
        raise InvalidArgumentError('"keys" is not an object')
    return cast("dict[str, object]", keys)


def _decode(value: object) -> SigningKey:
    if not isinstance(value, str):
        raise InvalidArgumentError("a key is not a string")
    try:
        return from_pkcs8(base64.b64decode(value, validate=True))
    except binascii.Error:
        raise InvalidArgumentError("a key is not base64") from None


def _save(path: Path, keys: Mapping[str, SigningKey]) -> None:
    encoded = {key_id: base64.b64encode(to_pkcs8(key)).decode() for key_id, key in keys.items()}
    content = json.dumps({"keys": encoded}, indent="\t", sort_keys=True).encode()
    try:
        write_private(path, content)
    except OSError as error:
        raise UnavailableError(
            f"unable to write keys file {path}: {error.strerror}",
            hint="make room or grant write access to the folder; the keys before are unharmed",
        ) from None
