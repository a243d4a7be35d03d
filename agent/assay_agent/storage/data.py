"""What an agent keeps about itself, and SPIRE's encoding of it, byte for byte."""

import base64
import binascii
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar, cast

from cryptography import x509

from assay.errors import FailedPreconditionError

T = TypeVar("T")

NEVER = "0001-01-01T00:00:00Z"
"""The zero time as Go writes it."""

BOOTSTRAP, REBOOTSTRAP = 1, 2
"""What `bootstrap_use` may be, other than 0."""


@dataclass(frozen=True, slots=True)
class AgentData:
    """The agent's SVID and its trust domain's authorities, both DER certificates, the SVID's leaf first.

    The last three tell how far getting to know the server has come: for the first time (1), after that (2) or not begun
    (0), since when (RFC 3339; NEVER unless it goes on), and how often the bundle's source was asked for it.
    """

    svid: tuple[bytes, ...] = ()
    bundle: tuple[bytes, ...] = ()
    reattestable: bool = False
    bootstrap_use: int = 0
    bootstrap_start_time: str = NEVER
    connection_attempts: int = 0


def encode(data: AgentData) -> bytes:
    """The file's content, as SPIRE's agent writes it."""
    document = {
        "svid": _encode_certificates(data.svid),
        "bundle": _encode_certificates(data.bundle),
        "reattestable": data.reattestable,
        "bootstrap_use": data.bootstrap_use,
        "bootstrap_start_time": data.bootstrap_start_time,
        "connection_attempts": data.connection_attempts,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode(content: bytes) -> AgentData:
    """The data of a file that this or SPIRE's agent wrote; members that are missing have their defaults.

    Raises:
        FailedPreconditionError: the content is damaged.
    """
    try:
        document = json.loads(content)
        if not isinstance(document, dict):
            raise TypeError("not an object")  # noqa: TRY301 - one handler words every kind of damage
        return _from_document(cast("Mapping[str, object]", document))
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise FailedPreconditionError(f"failed to unmarshal data: {error}") from error


def parse_time(text: str) -> float | None:
    """Unix seconds of an RFC 3339 time, None for Go's zero time; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("time without a zone")
    return None if moment.year == 1 else moment.timestamp()


def format_time(seconds: float | None) -> str:
    """The inverse, in UTC."""
    if seconds is None:
        return NEVER
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _from_document(document: Mapping[str, object]) -> AgentData:
    return AgentData(
        svid=_decode_certificates(document.get("svid")),
        bundle=_decode_certificates(document.get("bundle")),
        reattestable=_member(document, "reattestable", False),
        bootstrap_use=_member(document, "bootstrap_use", 0),
        bootstrap_start_time=_time(document, "bootstrap_start_time"),
        connection_attempts=_member(document, "connection_attempts", 0),
    )


def _member(document: Mapping[str, object], name: str, default: T) -> T:
    value = document.get(name, default)
    if not isinstance(value, type(default)):
        raise TypeError(f"{name} is not of type {type(default).__name__}")
    return value


def _time(document: Mapping[str, object], name: str) -> str:
    text = _member(document, name, NEVER)
    parse_time(text)  # damage must show here
    return text


def _encode_certificates(chain: Sequence[bytes]) -> list[str] | None:
    # Base64 around PEM is no slip: SPIRE marshals PEM as a Go byte slice. A nil slice is null.
    return [base64.b64encode(ssl.DER_cert_to_PEM_cert(der).encode()).decode() for der in chain] or None


def _decode_certificates(value: object) -> tuple[bytes, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TypeError("certificates are not a list")
    return tuple(_decode_certificate(item) for item in cast("list[object]", value))


def _decode_certificate(item: object) -> bytes:
    if not isinstance(item, str):
        raise TypeError("certificate is not a string")
    der = ssl.PEM_cert_to_DER_cert(base64.b64decode(item, validate=True).decode("ascii").strip())
    x509.load_der_x509_certificate(der)  # damage must show here, not when the chain is first used
    return der
