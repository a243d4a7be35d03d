"""Messages within DATA: a flag, a length and the bytes, in however many frames they come."""

import zlib
from struct import Struct
from typing import Final

from assay.rpc.status import EndError, StatusCode

PREFIX: Final = Struct(">BI")
PREFIX_BYTES: Final = PREFIX.size
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
ACCEPTED: Final = b"identity,gzip"
_IDENTITY, _GZIP = b"identity", b"gzip"
# zlib's way to say: gzip's header and trailer, and nothing else.
_GZIP_BITS: Final = 31


def framed(message: bytes) -> bytes:
    """A message as it is sent, uncompressed."""
    return PREFIX.pack(0, len(message)) + message


def whole(data: bytes, most: int) -> bytes | None:
    """The message, when `data` is one and nothing else, as nearly always."""
    if len(data) < PREFIX_BYTES:
        return None
    flag, size = PREFIX.unpack_from(data)
    return data[PREFIX_BYTES:] if not flag and size + PREFIX_BYTES == len(data) and size <= most else None


class Assembler:
    """Puts messages together; none larger than `most` bytes, neither as it came nor decompressed."""

    __slots__ = ("_buffer", "_encoding", "_most", "_wanted")

    def __init__(self, encoding: bytes, most: int) -> None:
        self._encoding = encoding
        self._most = most
        self._buffer = bytearray()
        self._wanted = PREFIX_BYTES

    @property
    def pending(self) -> int:
        """Bytes of a message that is not whole."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` makes whole.

        Raises:
            EndError: one is too large or cannot be decompressed.
        """
        self._buffer += data
        if len(self._buffer) < self._wanted:
            return []
        return self._split()

    def _split(self) -> list[bytes]:
        found: list[bytes] = []
        position, end = 0, len(self._buffer)
        self._wanted = PREFIX_BYTES
        while end - position >= PREFIX_BYTES:
            flag, size = PREFIX.unpack_from(self._buffer, position)
            if size > self._most:
                raise too_large(size, self._most)
            self._wanted = PREFIX_BYTES + size
            if end - position < self._wanted:
                break
            start = position + PREFIX_BYTES
            position = start + size
            found.append(self._plain(flag, bytes(self._buffer[start:position])))
            self._wanted = PREFIX_BYTES
        del self._buffer[:position]
        return found

    def _plain(self, flag: int, message: bytes) -> bytes:
        if not flag:
            return message
        if flag != 1 or self._encoding == _IDENTITY:
            raise EndError(StatusCode.INTERNAL, "message is flagged as compressed, and no encoding is named")
        return _decompressed(message, self._most)


def too_large(size: int, most: int) -> EndError:
    """The end of a call whose message is larger than allowed, in the words of gRPC's Go library."""
    return EndError(StatusCode.RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size} vs. {most})")


def check_encoding(encoding: bytes) -> None:
    """See that messages of that encoding can be read.

    Raises:
        EndError: they cannot.
    """
    if encoding not in {_IDENTITY, _GZIP}:
        name = encoding.decode("utf-8", "replace")
        raise EndError(
            StatusCode.UNIMPLEMENTED,
            f'grpc: Decompressor is not installed for grpc-encoding "{name}"',
            (("grpc-accept-encoding", ACCEPTED.decode()),),
        )


def _decompressed(message: bytes, most: int) -> bytes:
    machine = zlib.decompressobj(_GZIP_BITS)
    try:
        plain = machine.decompress(message, most + 1)
    except zlib.error:
        raise EndError(StatusCode.INTERNAL, "grpc: failed to decompress the received message") from None
    if len(plain) > most:
        raise too_large(len(plain), most)
    if not machine.eof or machine.unused_data:
        raise EndError(StatusCode.INTERNAL, "grpc: failed to decompress the received message")
    return plain
