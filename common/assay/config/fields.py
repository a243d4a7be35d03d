"""Types of configuration values for the pydantic models: from what the syntaxes give to checked values."""

import re
from collections.abc import Callable
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import UnionType
from typing import Annotated, TypeAlias, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator

from assay.config.document import is_list
from assay.config.duration import parse_duration
from assay.config.logging import LogFormat, LogLevel
from assay.errors import AssayError
from assay.keymanager.base import KeyType
from assay.spiffeid import SpiffeId, TrustDomain

MAX_PORT = 65535
MAX_PATH_BYTES = 4095
MAPPED_BITS = 96  # of an IPv6 address that stands for an IPv4 address

_LEVELS: dict[str, LogLevel] = {
    "debug": "debug", "trace": "trace", "info": "info", "warn": "warning", "warning": "warning", "error": "error",
    "fatal": "fatal", "panic": "panic",
}  # fmt: skip
_FORMATS: dict[str, LogFormat] = {"": "text", "text": "text", "json": "json"}

T = TypeVar("T")


class Section(BaseModel):
    """A section: no unknown keys; numbers where text is meant are taken as text, as HCL does."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, arbitrary_types_allowed=True)


def section_type(annotation: object) -> object:
    """The class of a section that may be left out altogether; any other type as it is."""
    kinds = [kind for kind in get_args(annotation) if isinstance(kind, type) and issubclass(kind, Section)]
    return kinds[0] if kinds and isinstance(annotation, UnionType) else annotation


def _from_text(parse: Callable[[str], T]) -> PlainValidator:
    """A validator for values written as text; refusals become pydantic's errors."""

    def check(value: object) -> T:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError("is not text")  # noqa: TRY004 - pydantic collects only ValueErrors
        try:
            return parse(str(value))
        except AssayError as error:
            raise ValueError(error.message) from None

    return PlainValidator(check)


def _seconds(text: str) -> Decimal:
    seconds = parse_duration(text)
    if seconds < 0:
        raise ValueError("is negative")
    return seconds


def _whole_seconds(text: str) -> int:
    seconds = _seconds(text)
    if seconds != int(seconds):
        raise ValueError(f'"{text}" is not a whole number of seconds')
    return int(seconds)


def _positive(seconds: int) -> int:
    if seconds <= 0:
        raise ValueError("must be more than zero")
    return seconds


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PORT):
        raise ValueError(f"must be a port number, 1 to {MAX_PORT}")
    return int(text)


def _path(text: str) -> Path:
    if not text or "\0" in text or len(text.encode()) > MAX_PATH_BYTES:
        raise ValueError("is not a usable path")
    return Path(text)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        network = None
    # Python takes masks, zones and single addresses as well; SPIRE does not.
    if network is None or not re.fullmatch(r"[^/%]+/[0-9]+", text):
        raise ValueError(f'"{text}" is not a CIDR range, such as 10.0.0.0/8')
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    bits = network.prefixlen - MAPPED_BITS
    return network if mapped is None or bits < 0 else IPv4Network((mapped, bits))


def _one_of(table: dict[str, T]) -> Callable[[str], T]:
    def choose(text: str) -> T:
        if text.lower() not in table:
            raise ValueError(f"must be one of {', '.join(name for name in table if name)}")
        return table[text.lower()]

    return choose


def as_list(value: object) -> object:
    """HCL 1 takes one value where a list is meant."""
    return value if is_list(value) else [value]


Seconds: TypeAlias = Annotated[int, _from_text(_whole_seconds)]
PositiveSeconds: TypeAlias = Annotated[int, _from_text(_whole_seconds), AfterValidator(_positive)]
FractionalSeconds: TypeAlias = Annotated[float, _from_text(lambda text: float(_seconds(text)))]
Port: TypeAlias = Annotated[int, _from_text(_port)]
FilePath: TypeAlias = Annotated[Path, _from_text(_path)]
Level: TypeAlias = Annotated[LogLevel, _from_text(_one_of(_LEVELS))]
Format: TypeAlias = Annotated[LogFormat, _from_text(_one_of(_FORMATS))]
DomainName: TypeAlias = Annotated[TrustDomain, _from_text(TrustDomain.parse)]
Identity: TypeAlias = Annotated[SpiffeId, _from_text(SpiffeId.parse)]
KeyTypeName: TypeAlias = Annotated[KeyType, _from_text(_one_of({kind.value: kind for kind in KeyType}))]
Network: TypeAlias = Annotated[IPv4Network | IPv6Network, _from_text(_network)]
Networks: TypeAlias = Annotated[tuple[Network, ...], BeforeValidator(as_list)]
Texts: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(as_list)]
Identities: TypeAlias = Annotated[tuple[Identity, ...], BeforeValidator(as_list)]
