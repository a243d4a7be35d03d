"""Constraints of an authority: which there are, how they are written, and when one is no broader than another.

The common ones of mission-bound authorization, and beside them any `max_…` and `min_…` that is a number and any
`allowed_…` that is a list of texts. Whoever enforces has to know a constraint, so others are refused at once.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, cast

from assay.errors import InvalidArgumentError

# Exactly what the draft's grammar lets through: no sign, no exponent.
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]{1,18})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
# JSON's numbers beyond it are not the same number everywhere (RFC 8785 section 3.2.2.3).
_MAX_NUMBER = 2**53


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a value is written, in words; what reads it, or raises ValueError; whether one is no broader than another."""

    form: str
    read: Callable[[Any], Any]
    within: Callable[[Any, Any], bool]


def check(constraints: Mapping[str, Any]) -> None:
    """See that each is one that there is, and is written as it has to be.

    Raises:
        InvalidArgumentError: one is not.
    """
    for key, value in constraints.items():
        _read(_rule(key), key, value)


def broader(candidate: Mapping[str, Any], reference: Mapping[str, Any]) -> str | None:
    """The first constraint in which `candidate` allows more than `reference`; one it lacks counts as the broadest.

    Raises:
        InvalidArgumentError: one is not known, or is not written as it has to be.
    """
    check(candidate)
    for key, bound in reference.items():
        rule = _rule(key)
        limit = _read(rule, key, bound)
        if key not in candidate or not rule.within(rule.read(candidate[key]), limit):
            return key
    return None


def _rule(key: str) -> _Rule:
    rule = _COMMON.get(key) or next((one for start, one in _FAMILIES if key.startswith(start)), None)
    if rule is None or not _NAME.fullmatch(key):
        known = ", ".join((*_COMMON, *(f"{start}…" for start, _ in _FAMILIES)))
        raise InvalidArgumentError(f'constraint "{key[:80]}" is not known', hint=f"there are: {known}")
    return rule


def _read(rule: _Rule, key: str, value: Any) -> Any:  # noqa: ANN401 - the rule's
    try:
        return rule.read(value)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InvalidArgumentError(f'constraint "{key}" must be {rule.form}') from None


def _number(value: Any) -> float:  # noqa: ANN401 - as it came
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_NUMBER:
        raise ValueError
    return value


def _text(value: Any) -> str:  # noqa: ANN401 - as it came
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _texts(value: Any) -> frozenset[str]:  # noqa: ANN401 - as it came
    if not isinstance(value, list | tuple) or not value:
        raise ValueError
    return frozenset(_text(one) for one in cast("Iterable[Any]", value))


def _flag(value: Any) -> bool:  # noqa: ANN401 - as it came
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - one kind of fault for the reader
    return value


def instant(value: Any) -> datetime:  # noqa: ANN401 - as it came
    """A date and time as RFC 3339 writes it; raises ValueError."""
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment


def _amount(value: Any) -> tuple[Decimal, str]:  # noqa: ANN401 - as it came
    amount, currency = value["amount"], value["currency"]
    if len(value) != 2 or not _DECIMAL.fullmatch(amount) or not _CURRENCY.fullmatch(currency):  # noqa: PLR2004 - these two
        raise ValueError
    return Decimal(amount), currency


def _window(value: Any) -> tuple[datetime | None, datetime | None]:  # noqa: ANN401 - as it came
    if not value or not value.keys() <= {"not_before", "not_after"}:
        raise ValueError
    begin, end = (instant(value[name]) if name in value else None for name in ("not_before", "not_after"))
    return begin, end


def _in_window(one: tuple[datetime | None, datetime | None], other: tuple[datetime | None, datetime | None]) -> bool:
    late_enough = other[0] is None or (one[0] is not None and one[0] >= other[0])
    return late_enough and (other[1] is None or (one[1] is not None and one[1] <= other[1]))


def _domain(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - as it came
    return tuple(reversed(_text(value).lower().rstrip(".").split(".")))


_TEXTS = _Rule("a list of texts", _texts, lambda one, other: one <= other)
_AT_MOST = _Rule("a number", _number, lambda one, other: one <= other)
_AT_LEAST = _Rule("a number", _number, lambda one, other: one >= other)

_COMMON: Mapping[str, _Rule] = MappingProxyType(
    {
        "max_amount": _Rule(
            'an amount, such as {"amount": "500.00", "currency": "USD"}',
            _amount,
            lambda one, other: one[1] == other[1] and one[0] <= other[0],
        ),
        "resource_issued_after": _Rule("a date and time (RFC 3339)", instant, lambda one, other: one >= other),
        "resource_issued_before": _Rule("a date and time (RFC 3339)", instant, lambda one, other: one <= other),
        "tenant": _Rule("a text", _text, lambda one, other: one == other),
        "recipient_domain": _Rule("a DNS name", _domain, lambda one, other: one[: len(other)] == other),
        "time_window": _Rule("an object with not_before, not_after or both (RFC 3339)", _window, _in_window),
        "data_classification": _TEXTS,
        "requires_action_approval": _Rule("true or false", _flag, lambda one, other: one or not other),
    }
)
_FAMILIES = (("max_", _AT_MOST), ("min_", _AT_LEAST), ("allowed_", _TEXTS))
