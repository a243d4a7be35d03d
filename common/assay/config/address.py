"""Addresses as `host:port`."""

from assay.errors import InvalidArgumentError

MAX_PORT = 65535


def host_port(text: str) -> tuple[str, int]:
    """Host and port of an address; an IPv6 host stands in brackets.

    Raises:
        InvalidArgumentError: it is not written so.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    written = f"[{bare}]" if ":" in bare else bare
    if (
        not colon
        or not bare
        or host != written
        or not (port.isascii() and port.isdigit() and 1 <= int(port) <= MAX_PORT)
    ):
        raise InvalidArgumentError(f'"{text}" is not an address', hint='write host:port, such as "localhost:8125"')
    return bare, int(port)
