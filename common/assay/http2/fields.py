"""What the fields of a message must be (RFC 9113 section 8): checked before anybody looks at what they say."""

import re
from typing import Final

from assay.http2.errors import ErrorCode, StreamFaultError
from assay.http2.headers import Fields

# Of an HTTP/1.1 connection (section 8.2.2).
_CONNECTION: Final = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
_REQUIRED: Final = (b":method", b":scheme", b":path")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_BAD_VALUE: Final = re.compile(rb"[\0\r\n]|\A[ \t]|[ \t]\Z")
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")


class Request:
    """The head of a request. One object serves all calls with the same header block: nobody changes it."""

    __slots__ = ("authority", "content_length", "fields", "method", "path", "scheme")

    def __init__(self, fields: Fields) -> None:
        """Check and take apart.

        Raises:
            ValueError: malformed; the message says how.
        """
        pseudo: dict[bytes, bytes] = {}
        count = 0
        for name, value in fields:
            if not name.startswith(b":"):
                break
            if name not in _PSEUDO or name in pseudo:
                raise ValueError("unexpected pseudo-header field")
            pseudo[name] = value
            count += 1
        if not all(pseudo.get(name) for name in _REQUIRED):
            raise ValueError("pseudo-header field is missing")
        self.method = pseudo[b":method"]
        self.scheme = pseudo[b":scheme"]
        self.path = pseudo[b":path"]
        self.authority = pseudo.get(b":authority", b"")
        self.fields = fields[count:]
        check(self.fields)
        self.content_length = _content_length(self.fields)


def check(fields: Fields) -> None:
    """See that regular fields, or trailers, are well-formed.

    Raises:
        ValueError: one is not; the message says how.
    """
    for name, value in fields:
        if not _NAME.fullmatch(name):
            raise ValueError("field name is malformed")
        if _BAD_VALUE.search(value):
            raise ValueError("field value is malformed")
        if name in _CONNECTION or (name == b"te" and value != b"trailers"):
            raise ValueError("field belongs to HTTP/1.1")


def malformed(stream_id: int, error: ValueError) -> StreamFaultError:
    """A malformed message ends its stream (section 8.1.1)."""
    return StreamFaultError(stream_id, ErrorCode.PROTOCOL_ERROR, str(error))


def _content_length(fields: Fields) -> int | None:
    found = {value for name, value in fields if name == b"content-length"}
    if not found:
        return None
    (value, *others) = found
    if others or not _DIGITS.fullmatch(value):
        raise ValueError("content-length is malformed")
    return int(value)
