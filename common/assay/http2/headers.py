"""Header compression (HPACK, RFC 7541).

What comes in is decoded by a decoder of our own around the library's Huffman code and static table: the library's own
takes 3 µs a field. What goes out uses no dynamic table, so that a block is bytes that can be made once.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from assay.http2.errors import ErrorCode, Http2Error

Field = tuple[bytes, bytes]
Fields = tuple[Field, ...]

TABLE_BYTES: Final = 4096
# What a field counts beyond name and value (RFC 7541 section 4.1, RFC 9113 section 6.5.2).
FIELD_OVERHEAD: Final = 32
# Blocks remembered per connection, and the longest of them: most clients repeat one or two.
_KNOWN: Final = 16
_KNOWN_BYTES: Final = 128
# Short strings are alike on all connections: paths, names, user agents. What is secret is longer.
_WORDS: Final = 256
_WORD_BYTES: Final = 48
# Bytes of a number (RFC 7541 section 5.1): the prefix and 28 bits.
_NUMBER_BYTES: Final = 5

_STATIC: Final[tuple[Field, ...]] = ((b"", b""), *((bytes(one[0]), bytes(one[1])) for one in HeaderTable.STATIC_TABLE))
_STATIC_COUNT: Final = len(_STATIC)
_STATIC_SIZES: Final = tuple(len(name) + len(value) + FIELD_OVERHEAD for name, value in _STATIC)
_STATIC_FIELDS: Final = {field: index for index, field in enumerate(_STATIC) if index}
_STATIC_NAMES: Final = {name: index for index, (name, _) in reversed(list(enumerate(_STATIC))) if index}

# Sent before the first block of a connection: no dynamic table, and so nothing to shrink when the peer shrinks its own.
NO_TABLE: Final = b"\x20"


class Decoder:
    """One direction of one connection. A block that fails leaves the table unknown: the connection must end."""

    __slots__ = ("_known", "_max_list", "_max_table", "_size", "_sizes", "_table")

    def __init__(self, max_list: int) -> None:
        """`max_list` bounds the sum of the fields of a block, each with FIELD_OVERHEAD bytes more."""
        self._max_list = max_list
        self._max_table = TABLE_BYTES
        self._table: list[Field] = []  # the newest last
        self._sizes: list[int] = []
        self._size = 0
        self._known: dict[bytes, Fields] = {}

    def decode(self, block: bytes) -> Fields:
        """The fields of a whole block; the same object for the same block while the table stays as it is.

        Raises:
            Http2Error: it is not HPACK, or longer than allowed.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            return self._decode(block)
        except (IndexError, HPACKError):
            raise Http2Error(ErrorCode.COMPRESSION_ERROR, "header block cannot be decoded") from None

    def _decode(self, block: bytes) -> Fields:  # noqa: C901 - one loop in one function: it runs for every call
        fields: list[Field] = []
        left = self._max_list
        position, end, changed = 0, len(block), False
        table, sizes = self._table, self._sizes
        while position < end:
            first = block[position]
            if first & 0x80:
                index, position = (first & 0x7F, position + 1) if first != 0xFF else _number(block, position, 7)  # noqa: PLR2004 - seven bits
                if index < _STATIC_COUNT:
                    if not index:
                        raise HPACKError("index 0 names no field")
                    fields.append(_STATIC[index])
                    left -= _STATIC_SIZES[index]
                else:
                    fields.append(table[_STATIC_COUNT - 1 - index])
                    left -= sizes[_STATIC_COUNT - 1 - index]
            elif first & 0xE0 == 0x20:  # noqa: PLR2004 - RFC 7541 section 6.3
                if fields:
                    raise HPACKError("table size changes after a field")
                size, position = _number(block, position, 5)
                self._resize(size)
                changed = True
            else:
                indexed = bool(first & 0x40)
                field, position = self._literal(block, position, 6 if indexed else 4)
                fields.append(field)
                size = len(field[0]) + len(field[1]) + FIELD_OVERHEAD
                left -= size
                if indexed:
                    self._add(field, size)
                    changed = True
            if left < 0:
                raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "header list is too long")
        found = tuple(fields)
        if changed:
            self._known.clear()
        elif end <= _KNOWN_BYTES:
            self._remember(block, found)
        return found

    def _remember(self, block: bytes, fields: Fields) -> None:
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[block] = fields

    def _literal(self, block: bytes, position: int, bits: int) -> tuple[Field, int]:
        index, position = _number(block, position, bits)
        if index:
            name = (_STATIC[index] if index < _STATIC_COUNT else self._table[_STATIC_COUNT - 1 - index])[0]
        else:
            name, position = _string(block, position)
        value, position = _string(block, position)
        return (name, value), position

    def _add(self, field: Field, size: int) -> None:
        self._table.append(field)
        self._sizes.append(size)
        self._size += size
        if self._size > self._max_table:
            self._evict()

    def _resize(self, size: int) -> None:
        if size > TABLE_BYTES:
            raise HPACKError("table larger than allowed")
        self._max_table = size
        self._evict()

    def _evict(self) -> None:
        gone = 0
        while self._size > self._max_table:
            self._size -= self._sizes[gone]
            gone += 1
        del self._table[:gone], self._sizes[:gone]


def _number(block: bytes, position: int, bits: int) -> tuple[int, int]:
    limit = (1 << bits) - 1
    number = block[position] & limit
    position += 1
    if number < limit:
        return number, position
    for shift in range(0, 7 * (_NUMBER_BYTES - 1), 7):
        byte = block[position]
        position += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte
            return number, position
    raise HPACKError("number is too long")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    huffman = block[position] & 0x80
    size, position = _number(block, position, 7)
    end = position + size
    if end > len(block):
        raise HPACKError("string is cut off")
    value = block[position:end]
    if not huffman:
        return value, end
    return (_word(value) if size <= _WORD_BYTES else decode_huffman(value)), end


_word: Final = lru_cache(_WORDS)(decode_huffman)


def encode(fields: Iterable[Field]) -> bytes:
    """A block of literals that enter no table, but for fields of the static one."""
    return b"".join(_encoded(name, value) for name, value in fields)


def _encoded(name: bytes, value: bytes) -> bytes:
    index = _STATIC_FIELDS.get((name, value))
    if index is not None:
        return bytes((0x80 | index,))
    named = _STATIC_NAMES.get(name)
    start = _written(0, 4, 0) + _text(name) if named is None else _written(named, 4, 0)
    return start + _text(value)


def _text(value: bytes) -> bytes:
    return _written(len(value), 7, 0) + value


def _written(number: int, bits: int, mark: int) -> bytes:
    limit = (1 << bits) - 1
    if number < limit:
        return bytes((mark | number,))
    out = bytearray((mark | limit,))
    number -= limit
    while number >= 0x80:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
