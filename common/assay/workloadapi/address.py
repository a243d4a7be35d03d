"""Where the Workload API is: the endpoint's URI (Workload Endpoint, section 4)."""

import asyncio
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from assay.errors import InvalidArgumentError

P = TypeVar("P", bound=asyncio.BaseProtocol)

ENVIRONMENT = "SPIFFE_ENDPOINT_SOCKET"
MAX_PORT = 65535

_TCP = re.compile(r"//(?:\[(?P<v6>[^\]/?#@]+)\]|(?P<v4>[^:\[\]/?#@]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that gRPC can dial: `target` is gRPC's name for it."""

    target: str

    @classmethod
    def parse(cls, uri: str) -> "Endpoint":
        """From `unix:/path`, `unix:///path` or `tcp://IP:port`.

        Raises:
            InvalidArgumentError: the scheme is another, or something is missing or too much.
        """
        scheme, colon, rest = uri.partition(":")
        if not colon or scheme not in {"unix", "tcp"}:
            raise _refusal(uri, "the scheme must be unix or tcp")
        return cls(_unix(uri, rest) if scheme == "unix" else _tcp(uri, rest))

    @classmethod
    def of_path(cls, path: Path) -> "Endpoint":
        """A Unix socket in the file system."""
        return cls(f"unix:{quote(str(path.absolute()))}")

    @classmethod
    def of(cls, where: "Endpoint | Path | str | None", environment: Mapping[str, str]) -> "Endpoint":
        """From an endpoint, a Unix socket's path, a URI, or from the environment if it is None.

        Raises:
            InvalidArgumentError: it is no endpoint, or None and the environment names none.
        """
        match where:
            case None:
                return cls.from_environment(environment)
            case str():
                return cls.parse(where)
            case Path():
                return cls.of_path(where)
            case _:
                return where

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Endpoint":
        """From `SPIFFE_ENDPOINT_SOCKET`.

        Raises:
            InvalidArgumentError: it is not set, or is no endpoint.
        """
        uri = environment.get(ENVIRONMENT, "")
        if not uri:
            raise InvalidArgumentError("workload endpoint socket is not configured", hint=f"set {ENVIRONMENT}")
        return cls.parse(uri)

    async def connect(self, protocol: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """A connection to it, as asyncio's loops make one; raises OSError."""
        loop = asyncio.get_running_loop()
        scheme, _, rest = self.target.partition(":")
        if scheme == "unix":
            return await loop.create_unix_connection(protocol, unquote(rest))
        host, _, port = rest.rpartition(":")
        return await loop.create_connection(protocol, host.strip("[]"), int(port))


def _unix(uri: str, rest: str) -> str:
    if "?" in rest or "#" in rest:
        raise _refusal(uri, "a unix address has neither query nor fragment")
    path = rest.removeprefix("//") if rest.startswith("///") else rest
    if path.startswith("//"):
        raise _refusal(uri, "a unix address has no host")
    if len(path) < len("/x") or not path.startswith("/"):
        raise _refusal(uri, "a unix address is an absolute path")
    try:
        return f"unix:{quote(unquote(path))}"
    except UnicodeEncodeError:
        raise _refusal(uri, "it is not text in UTF-8") from None


def _tcp(uri: str, rest: str) -> str:
    found = _TCP.fullmatch(rest)
    if found is None:
        raise _refusal(uri, "a tcp address is an IP address and a port, and nothing else")
    port = int(found["port"])
    if not 0 < port <= MAX_PORT:
        raise _refusal(uri, "the port is out of range")
    try:
        if found["v4"]:
            return f"ipv4:{ipaddress.IPv4Address(found['v4'])}:{port}"
        return f"ipv6:[{ipaddress.IPv6Address(found['v6'])}]:{port}"
    except ValueError:
        raise _refusal(uri, "the host must be an IP address") from None


def _refusal(uri: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f'workload endpoint socket "{uri}" is invalid: {why}')
