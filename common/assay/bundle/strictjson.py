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
        value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
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
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidArgumentError(f'has member "{twice}" twice')
    return members


def _no_constant(name: str) -> NoReturn:
    raise InvalidArgumentError(f"has the number {name}, which JSON does not know")
