"""Key managers own private keys by ID; what they hand out signs and need not reveal the key."""

from assay.keymanager.base import KeyManager, KeyType, SigningKey

__all__ = ["KeyManager", "KeyType", "SigningKey"]
