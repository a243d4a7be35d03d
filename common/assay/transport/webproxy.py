"""The HTTP proxy between us and a web server, and the way through it: HTTPS_PROXY and NO_PROXY, as Go reads them."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

import h11

_READ = 4096
_OK = 200
_PORTS = {"http": 80, "https": 443}
_PROXY, _NO_PROXY = ("HTTPS_PROXY", "https_proxy"), ("NO_PROXY", "no_proxy")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """One that is reached by `http` or `https`; `authorization` is what it asks for, a secret."""

    scheme: str
    host: str
    port: int
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{_joined(self.host, self.port)}"


def proxy_for(host: str, port: int, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy before `https://host:port`; None if there is none, for this host or at all.

    Loopback addresses and `localhost` have none. NO_PROXY lists hosts that have none, separated by commas: names, which
    stand for names below them too, `.name` or `*.name` for those below alone, addresses and networks, all but networks
    with `:port` where only that port is meant, or `*` for everything.

    Raises:
        ValueError: the environment's proxy is none that can be used.
    """
    value = _first(environment, _PROXY)
    if not value or _is_direct(host.lower(), port, _first(environment, _NO_PROXY)):
        return None
    return _parse(value)


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _parse(value: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        # The reason would hold the value, and that may hold a password.
        raise ValueError("HTTPS_PROXY is not a URL") from None
    if parts.scheme not in _PORTS:
        raise ValueError(f"HTTPS_PROXY is a {parts.scheme} proxy, which is not supported; use one of http or https")
    if not parts.hostname:
        raise ValueError("HTTPS_PROXY names no host")
    return Proxy(parts.scheme, parts.hostname, port, _basic(parts))


def _basic(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _is_direct(host: str, port: int, exceptions: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(one, host, address, port) for one in _listed(exceptions))


def _listed(exceptions: str) -> Iterator[str]:
    return (one for part in exceptions.split(",") if (one := part.strip().lower()))


def _matches(pattern: str, host: str, address: Address | None, port: int) -> bool:
    """Whether what NO_PROXY lists is that host, which is `address` if it is an address."""
    if pattern == "*":
        return True
    if "/" in pattern:
        return address is not None and _in_network(address, pattern)
    name, only = _split(pattern)
    if not name or only not in ("", str(port)):
        return False
    listed = _address(name)
    if address is not None or listed is not None:
        return address == listed
    name = name.removeprefix("*") if name.startswith("*.") else name
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _in_network(address: Address, pattern: str) -> bool:
    try:
        return address in ip_network(pattern, strict=False)
    except ValueError:
        return False


def _split(pattern: str) -> tuple[str, str]:
    """Host and port, or host alone; an IPv6 address has its port behind brackets."""
    if pattern.startswith("["):
        name, _, rest = pattern[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = pattern.partition(":")
    return (pattern, "") if ":" in port else (name, port)


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


async def tunnel(
    proxy: Proxy, host: str, port: int, tls: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TLS connection to `host`, through the proxy (CONNECT, RFC 9110, section 9.3.6).

    Raises:
        OSError, ValueError, h11.ProtocolError: there is no way to the proxy, or it does not let us through.
    """
    outer = ssl.create_default_context() if proxy.scheme == "https" else None
    try:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port, ssl=outer)
    except OSError as error:
        raise OSError(f"proxy {proxy} cannot be reached: {error}") from error
    try:
        name = host.encode("idna").decode()
        await _connect(proxy, _joined(name, port), reader, writer)
        await writer.start_tls(tls, server_hostname=name)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def _connect(proxy: Proxy, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    headers = [("Host", target), ("User-Agent", "assay")]
    if proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method="CONNECT", target=target, headers=headers)
    writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    while not isinstance(event := connection.next_event(), h11.Response):
        if event is h11.NEED_DATA:
            if not (data := await reader.read(_READ)):
                raise ValueError(f"proxy {proxy} hung up")
            connection.receive_data(data)
    if event.status_code != _OK:
        reason = event.reason.decode("latin-1")
        raise ValueError(f"proxy {proxy} answered {event.status_code} {reason}".rstrip())
    if connection.trailing_data[0]:
        raise ValueError(f"proxy {proxy} speaks before it is spoken to")


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
