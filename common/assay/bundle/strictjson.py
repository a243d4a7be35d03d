"""JSON as trust decisions need it: a member that appears twice is refused rather than overwritten."""

import json
from collections.abc import Mapping
from typing import NoReturn, cast

from assay.errors import InvalidArgumentError


def parse_object(data: bytes | str, what: str) -> Mapping[str, object]:
    """The members of a JSON object that is the whole of `data`; `what` names it in messages.

    Raises:
        InvalidArgumentError: not JSON, not an object, a member twice at any depth, or a number JSON does not have.
    """
    try:
        # As text: of bytes json.loads guesses the encoding, and takes UTF-16 or a byte order mark (RFC 8259, 8.1).
        text = data if isinstance(data, str) else data.decode()
        value: object = _DECODER.decode(text)
        # Half of a surrogate pair can be written as an escape, and is nothing that could be passed on.
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{what} {error.message}") from None
    except (ValueError, RecursionError):
        raise InvalidArgumentError(f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"{what} is not a JSON object")
    return cast("dict[str, object]", value)


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidArgumentError(f"has member {json.dumps(name)} twice")
            seen.add(name)
    return members


def _no_constant(name: str) -> NoReturn:
    raise InvalidArgumentError(f"has the number {name}, which JSON does not know")


# Made once: json.loads makes one for each text.
_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_no_constant)
