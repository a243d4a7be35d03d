"""Just enough DER (X.690) to cut concatenated structures apart and to put a certificate together from ready pieces."""

from functools import lru_cache
from time import gmtime, strftime

from assay.errors import InvalidArgumentError

INTEGER, BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER = 0x02, 0x03, 0x04, 0x06
UTF8_STRING, PRINTABLE_STRING, UTC_TIME, GENERALIZED_TIME = 0x0C, 0x13, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
TRUE = bytes((0x01, 1, 0xFF))
NULL = bytes((0x05, 0))
_SHORT, _LONG_FORM = 0x80, 0x80
_GENERALIZED_FROM = 2050
# Of what is issued within a second most begins and ends at the same times.
_TIMES = 256


def element(tag: int, content: bytes) -> bytes:
    """Tag, length and content."""
    size = len(content)
    if size < _SHORT:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of elements that are encoded already."""
    return element(SEQUENCE, b"".join(parts))


def integer(value: int) -> bytes:
    """An INTEGER that is not negative."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def bit_string(content: bytes) -> bytes:
    """A BIT STRING of whole octets."""
    return element(BIT_STRING, b"\0" + content)


def object_identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form."""
    first, second, *arcs = (int(arc) for arc in dotted.split("."))
    return element(OBJECT_IDENTIFIER, b"".join(_base128(arc) for arc in (first * 40 + second, *arcs)))


@lru_cache(maxsize=_TIMES)
def time(seconds: int) -> bytes:
    """A Time of RFC 5280, 4.1.2.5, from Unix seconds: UTCTime before 2050, GeneralizedTime from then on."""
    moment = gmtime(seconds)
    if moment.tm_year < _GENERALIZED_FROM:
        return element(UTC_TIME, strftime("%y%m%d%H%M%SZ", moment).encode())
    return element(GENERALIZED_TIME, strftime("%Y%m%d%H%M%SZ", moment).encode())


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(arc & 0x7F | 0x80)
    return bytes(reversed(octets))


def contents(data: bytes) -> bytes:
    """What is inside an element; the whole of `data` is one."""
    octets = data[1] & ~_LONG_FORM if data[1] & _LONG_FORM else 0
    return data[2 + octets :]


def split(data: bytes) -> tuple[bytes, ...]:
    """Cut concatenated elements (the Workload API's form of certificate chains) apart.

    Raises:
        InvalidArgumentError: the bytes end inside an element or are not DER.
    """
    parts: list[bytes] = []
    start = 0
    while start < len(data):
        end = _end(data, start)
        parts.append(data[start:end])
        start = end
    return tuple(parts)


def part(data: bytes, index: int) -> bytes:
    """The element at that place, from 0, of concatenated ones; what follows it is not looked at.

    Raises:
        InvalidArgumentError: the bytes end before it does or are not DER.
    """
    start = offset(data, index)
    return data[start : _end(data, start)]


def offset(data: bytes, count: int) -> int:
    """Where the element begins that stands behind so many others; raises as `part` does."""
    start = 0
    for _ in range(count):
        start = _end(data, start)
    return start


def _end(data: bytes, start: int) -> int:
    try:
        size = data[start + 1]
    except IndexError:
        raise InvalidArgumentError("DER data is cut short") from None
    content = start + 2
    if size & _LONG_FORM:
        octets = size & ~_LONG_FORM
        size = int.from_bytes(data[content : content + octets], "big")
        content += octets or len(data)  # none: the indefinite form, which DER does not have
    if content + size > len(data):
        raise InvalidArgumentError("DER data is cut short")
    return content + size
