"""The header by which a proxy tells whose connection it passes on: PROXY protocol, versions 1 and 2, without I/O.

https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from assay.errors import InvalidArgumentError
from assay.transport import tcp

TEXT: Final = b"PROXY"
BINARY: Final = b"\r\n\r\n\0\r\nQUIT\n"
MAX_TEXT: Final = 107
"""Bytes of the longest header of version 1, its CRLF included."""
MAX_BINARY: Final = 16 + 4096
"""Bytes of the longest header of version 2 that is taken, extensions included; the standard allows 16 times as many."""

_FIXED = 16
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_FAMILIES = frozenset({0x00, _TCP4, 0x12, _TCP6, 0x22, 0x31, 0x32})
_KINDS: Final[dict[str, type[IPv4Address] | type[IPv6Address]]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}
_LARGEST_PORT = 65535
_WORDS = 6


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A header of `size` bytes. `source` is `host:port` of the caller, None when the proxy calls on its own account."""

    size: int
    source: str | None


ABSENT: Final = ProxyHeader(0, None)
"""There is no header: a connection that nobody passes on."""


def parse(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with, ABSENT if it begins with something else, None if more must come to tell.

    Raises:
        InvalidArgumentError: it is malformed, too long, or of a caller who is not on TCP.
    """
    if TEXT.startswith(data[: len(TEXT)]):
        return _text(data) if len(data) >= len(TEXT) else None
    if BINARY.startswith(data[: len(BINARY)]):
        return _binary(data) if len(data) >= _FIXED else None
    return ABSENT


def _text(data: bytes) -> ProxyHeader | None:
    line, end, _ = data[:MAX_TEXT].partition(b"\n")
    if not end:
        if len(data) >= MAX_TEXT:
            raise InvalidArgumentError("PROXY header is too long")
        return None
    if not line.endswith(b"\r"):
        raise InvalidArgumentError("PROXY header does not end with CRLF")
    try:
        return ProxyHeader(len(line) + 1, _source(line[:-1].decode("ascii").split(" ")))
    except ValueError as error:
        raise InvalidArgumentError(f"PROXY header is malformed: {error}") from None


def _source(words: list[str]) -> str | None:
    if words[:2] == ["PROXY", "UNKNOWN"]:
        return None
    if len(words) != _WORDS or words[0] != "PROXY":
        raise ValueError("it has not the words of one")
    _, family, source, destination, port, other_port = words
    kind = _KINDS.get(family)
    if kind is None:
        raise ValueError("caller is not on TCP")
    if "%" in source + destination:
        raise ValueError("address has a zone")
    kind(destination)
    _port(other_port)
    return _address(kind(source), _port(port))


def _port(text: str) -> int:
    if not text.isdigit() or (text[0] == "0" and text != "0") or len(text) > len(str(_LARGEST_PORT)):
        raise ValueError("port is not a number")
    if int(text) > _LARGEST_PORT:
        raise ValueError("port is too large")
    return int(text)


def _binary(data: bytes) -> ProxyHeader | None:
    command, family, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in {_LOCAL, _PROXY} or family not in _FAMILIES:
        raise InvalidArgumentError("PROXY header has an unknown version, command or address family")
    if _FIXED + length > MAX_BINARY:
        raise InvalidArgumentError("PROXY header is too long")
    # Callers on Unix sockets must not pass for local ones, who may do everything.
    if command == _PROXY and family not in {_TCP4, _TCP6}:
        raise InvalidArgumentError("PROXY header is of a caller who is not on TCP")
    if len(data) < _FIXED + length:
        return None
    return ProxyHeader(_FIXED + length, None if command == _LOCAL else _packed(family, data[_FIXED : _FIXED + length]))


def _packed(family: int, block: bytes) -> str:
    size = 4 if family == _TCP4 else 16
    if len(block) < 2 * size + 4:
        raise InvalidArgumentError("PROXY header is shorter than its addresses")
    kind = IPv4Address if family == _TCP4 else IPv6Address
    return _address(kind(block[:size]), int.from_bytes(block[2 * size : 2 * size + 2], "big"))


def _address(found: IPv4Address | IPv6Address, port: int) -> str:
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return tcp.address((str(mapped or found), port))
