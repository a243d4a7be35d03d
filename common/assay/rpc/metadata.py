"""Metadata as header fields: text as it is, bytes under names that end in `-bin` in base64."""

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable
from typing import Final

from assay.http2.headers import Field, Fields
from assay.rpc.status import Metadata

_BINARY: Final = b"-bin"
# Of the protocol itself; handlers do not see them.
_RESERVED: Final = frozenset(
    {b"te", b"content-type", b"content-length", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding"}
)


def received(fields: Fields) -> Metadata:
    """The metadata in the fields of a request. A binary value that is not base64 is left out."""
    found: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name in _RESERVED:
            continue
        if name.endswith(_BINARY):
            found.extend((name.decode("ascii"), one) for one in _binary(value))
        else:
            found.append((name.decode("ascii"), value.decode("utf-8", "surrogateescape")))
    return tuple(found)


def _binary(value: bytes) -> list[bytes]:
    # Several values may have been joined with commas on the way; padding is optional.
    try:
        return [b64decode(one.strip() + b"=" * (-len(one.strip()) % 4), validate=True) for one in value.split(b",")]
    except Error:
        return []


def to_send(metadata: Iterable[tuple[str, str | bytes]]) -> list[Field]:
    """Fields that carry it.

    Raises:
        ValueError: a name or value cannot be sent.
    """
    return [_field(name, value) for name, value in metadata]


def _field(name: str, value: str | bytes) -> Field:
    key = name.lower().encode("ascii")
    if key.endswith(_BINARY):
        raw = value if isinstance(value, bytes) else value.encode()
        return key, b64encode(raw).rstrip(b"=")
    text = value if isinstance(value, bytes) else value.encode("ascii")
    if not text.isascii() or not text.decode().isprintable():
        raise ValueError(f"value of {name} is not printable ASCII")
    return key, text.strip()
