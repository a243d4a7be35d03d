"""JSON as SPIRE's attestor reads it; what it does not take is refused in the words of Go's library, as there."""

import base64
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NoReturn, TypeGuard

# What Python's parser says -> what Go's says behind the character that it stopped at.
_PLACES: Mapping[str, str] = MappingProxyType(
    {
        "Expecting value": "looking for beginning of value",
        "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
        "Illegal trailing comma before end of object": "looking for beginning of object key string",
        "Expecting ':' delimiter": "after object key",
        "Extra data": "after top-level value",
        "Invalid control character at": "in string literal",
    }
)
_KINDS: Mapping[type, str] = MappingProxyType(
    {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*")


def members(data: bytes, kind: str) -> dict[str, object]:
    """The members of a document, none of `null`; `kind` is SPIRE's name for such a document.

    Raises:
        ValueError: it is no JSON, or no object.
    """
    document = _parsed(data.decode(errors="replace"))
    if document is None:
        return {}
    if not is_object(document):
        raise unfit(document, f"value of type x509pop.{kind}")
    return document


def blob(value: object, field: str) -> bytes:
    """The bytes that a value of that field of a document is, in base64; none of `null`.

    Raises:
        ValueError: it is no text, or no base64.
    """
    if value is None:
        return b""
    if not isinstance(value, str):
        raise unfit(value, f"struct field {field} of type []uint8")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        whole = _BASE64.match(value)
        raise ValueError(f"illegal base64 data at input byte {whole.end() if whole else 0}") from None


def unfit(value: object, into: str) -> ValueError:
    """What is said of a value of the wrong kind."""
    return ValueError(f"json: cannot unmarshal {_KINDS[type(value)]} into Go {into}")


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether it is a JSON array."""
    return isinstance(value, list)


def _parsed(text: str) -> object:
    try:
        document: object = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(_words(text[error.pos :].lstrip(" \t\r\n"), error.msg)) from None
    except RecursionError:
        raise ValueError("exceeded max depth") from None
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _words(rest: str, what: str) -> str:
    if not rest or what.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    return f"invalid character '{rest[0]}' {_PLACES.get(what, 'in literal')}"
