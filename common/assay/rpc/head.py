"""The head of a call, as gRPC reads a request."""

import re
from typing import Final

from assay.http2.fields import Request
from assay.http2.headers import FIELD_OVERHEAD, Fields
from assay.rpc.metadata import received
from assay.rpc.status import Metadata

_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_CONTENT_TYPE: Final = b"application/grpc"
# Heads remembered per connection: callers could make up names without end.
_KNOWN: Final = 16
HTTP_OK: Final = 200
_WRONG_METHOD, _WRONG_TYPE = 405, 415


class Head(Request):
    """What a call asks for, but for its timeout. Calls with the same fields share one.

    `http_status` is not 200 when this is no gRPC at all; `encoding` is what messages may be compressed with.
    """

    __slots__ = ("_metadata", "encoding", "http_status", "method_name", "size")

    def __init__(self, fields: Fields) -> None:
        """Check and take apart.

        Raises:
            ValueError: malformed; the message says how.
        """
        super().__init__(fields)
        self.method_name = self.path.decode("utf-8", "replace")
        self.encoding = b"identity"
        self.size = sum(len(name) + len(value) + FIELD_OVERHEAD for name, value in fields)
        self._metadata: Metadata | None = None
        self.http_status = HTTP_OK if self.method == b"POST" else _WRONG_METHOD
        content_type = b""
        for name, value in self.fields:
            if name == b"content-type":
                content_type = value
            elif name == b"grpc-encoding":
                self.encoding = value
        if self.http_status == HTTP_OK and not _is_grpc(content_type):
            self.http_status = _WRONG_TYPE

    @property
    def metadata(self) -> Metadata:
        """What the caller sent beside the protocol's own fields."""
        if self._metadata is None:
            self._metadata = received(self.fields)
        return self._metadata


class Opening:
    """A head and the seconds the caller waits, if it said so."""

    __slots__ = ("content_length", "head", "timeout")

    def __init__(self, head: Head, timeout: float | None = None) -> None:
        self.head = head
        self.timeout = timeout
        self.content_length = head.content_length


class Openings:
    """Reads the fields that open calls on one connection, where they are nearly always the same but for the timeout."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Fields, Head] = {}

    def __call__(self, fields: Fields) -> Opening:
        """What they say.

        Raises:
            ValueError: they are malformed; the message says how.
        """
        for place, field in enumerate(fields):
            if field[0] == b"grpc-timeout":
                return Opening(self._head(fields[:place] + fields[place + 1 :]), _seconds(field[1]))
        return Opening(self._head(fields))

    def _head(self, fields: Fields) -> Head:
        known = self._known.get(fields)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[fields] = Head(fields)
        return known


def _seconds(value: bytes) -> float:
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        raise ValueError("grpc-timeout is malformed")
    return int(found[1]) * _SECONDS[found[2]]


def _is_grpc(content_type: bytes) -> bool:
    return content_type == _CONTENT_TYPE or content_type.startswith((_CONTENT_TYPE + b"+", _CONTENT_TYPE + b";"))
