"""Values of messages as SPIRE's audit lines write them."""

import hashlib
from collections.abc import Iterable
from typing import Any

from assay.errors import AssayError
from assay.wire import spiffeid as spiffeid_wire


def digest(data: bytes) -> str:
    """SHA-256 in hex; nothing of nothing."""
    return hashlib.sha256(data).hexdigest() if data else ""


def spiffe_id(message: Any, key: str, field: str) -> dict[str, str]:  # noqa: ANN401 - any message with such a field
    """The SPIFFE ID in that field under `key`; nothing when it is not there or is none."""
    if message is None or not message.HasField(field):
        return {}
    try:
        return {key: str(spiffeid_wire.from_proto(getattr(message, field)))}
    except AssayError:
        return {}


def selectors(messages: Iterable[Any]) -> str:
    """Selectors with commas between."""
    return ",".join(f"{one.type}:{one.value}" for one in messages)


def enum_name(message: Any, field: str) -> str:  # noqa: ANN401 - any message with such a field
    """The name of an enumeration's value; its number when it has none."""
    number = getattr(message, field)
    value = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return value.name if value is not None else str(number)
