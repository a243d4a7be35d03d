"""Just enough DER (X.690) to cut concatenated structures apart and to put a certificate together from ready pieces."""

from assay.errors import InvalidArgumentError

INTEGER, BIT_STRING, OCTET_STRING = 0x02, 0x03, 0x04
SEQUENCE, UTC_TIME, GENERALIZED_TIME = 0x30, 0x17, 0x18
_SHORT, _LONG_FORM = 0x80, 0x80


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


def _end(data: bytes, start: int) -> int:
    head = data[start : start + 2]
    if len(head) < 2:  # noqa: PLR2004 - tag and first octet of the length
        raise InvalidArgumentError("DER data is cut short")
    octets = head[1] & ~_LONG_FORM if head[1] & _LONG_FORM else 0
    content = start + 2 + octets
    size = int.from_bytes(data[start + 2 : content], "big") if octets else head[1]
    if head[1] == _LONG_FORM or content + size > len(data):
        raise InvalidArgumentError("DER data is cut short")
    return content + size
