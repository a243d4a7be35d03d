"""Golden tables: what a set has to answer, written beside it in TOML and run before it may decide.

[[case]]
name = "nothing restricted from a sandbox"
expect = "deny"
policies = ["no-restricted-data-from-sandbox"]
principal = { environment = "sandbox" }
resource = { sensitivity = "restricted" }
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from assay.errors import InvalidArgumentError
from assay_server.model.governed.decision import Decision, Effect, Point
from assay_server.policy.decide import decide
from assay_server.policy.engine import Policy
from assay_server.policy.sample import SECTIONS, Overrides, request_of
from assay_server.policy.vocabulary import nearest

MAX_CASES = 5000
_EFFECTS = tuple(each.value for each in Effect)
_POINTS = tuple(each.value for each in Point)
_KEYS = ("name", "expect", "point", "policies", "ttl", *SECTIONS)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a table: the request, and what has to be answered (None: whatever it is)."""

    name: str
    line: int
    point: str
    different: Overrides
    expect: str
    policies: frozenset[str] | None = None
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A case, what was decided, and where that is not what was expected (empty: as expected)."""

    case: Case
    decision: Decision
    wrong: str = ""


def cases_of(text: str) -> list[Case]:
    """The table.

    Raises:
        InvalidArgumentError: it is no TOML, or says what a case does not have; the message names the line.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgumentError(f"tests.toml: {error}") from None
    for key in document.keys() - {"case"}:
        raise InvalidArgumentError(f"tests.toml: {key} is not known", hint="write [[case]]")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*case\s*\]\]", line)]
    found = document.get("case", [])
    if not isinstance(found, list) or len(found) > MAX_CASES:  # pyright: ignore[reportUnknownArgumentType]
        raise InvalidArgumentError(f"tests.toml: write at most {MAX_CASES} tables [[case]]")
    rows: list[Any] = found  # pyright: ignore[reportUnknownVariableType] - of whatever is in it
    return [_case(row, lines[at] if at < len(lines) else 0) for at, row in enumerate(rows)]


def run(policy: Policy, cases: Sequence[Case]) -> Iterator[Result]:
    """What the policy says of each."""
    for case in cases:
        decision = decide(policy, request_of(case.point, case.different), f"dec_{case.name}")
        yield Result(case, decision, _wrong(case, decision))


def failed(policy: Policy, text: str) -> list[str]:
    """The cases that come out otherwise, in words (InvalidArgumentError as `cases_of`)."""
    return [f"tests.toml:{each.case.line}: {each.wrong}" for each in run(policy, cases_of(text)) if each.wrong]


def _case(row: Any, line: int) -> Case:  # noqa: ANN401 - whatever the file has there
    where = f"tests.toml:{line}"
    if not isinstance(row, Mapping):
        raise InvalidArgumentError(f"{where}: a case is a table")
    said = cast("Mapping[str, Any]", row)
    for key in said:
        if key not in _KEYS:
            raise InvalidArgumentError(f"{where}: a case has no {key}", hint=nearest(key, _KEYS))
    name, expect, point = said.get("name", f"case at line {line}"), said.get("expect"), said.get("point", _POINTS[1])
    for key, value, known in (("expect", expect, _EFFECTS), ("point", point, _POINTS)):
        if value not in known:
            raise InvalidArgumentError(f"{where}: {key} is one of {', '.join(known)}", hint=nearest(str(value), known))
    different = {section: said[section] for section in SECTIONS if section in said}
    if not all(isinstance(each, Mapping) for each in different.values()):
        raise InvalidArgumentError(
            f"{where}: inputs are tables", hint='such as principal = { environment = "sandbox" }'
        )
    try:
        request_of(str(point), different)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f'{where}: "{name}": {error.message}', hint=error.hint) from None
    policies, ttl = said.get("policies"), said.get("ttl")
    if not isinstance(policies, list | None) or not isinstance(ttl, int | None):
        raise InvalidArgumentError(f"{where}: policies is a list of IDs, ttl a number of seconds")
    named = None if policies is None else frozenset(map(str, policies))  # pyright: ignore[reportUnknownArgumentType]
    return Case(str(name), line, str(point), different, str(expect), named, ttl)


def _wrong(case: Case, decision: Decision) -> str:
    got = f"{decision.effect.value} ({decision.reason})"
    if decision.effect.value != case.expect:
        return f'"{case.name}": expected {case.expect}, got {got}'
    if case.policies is not None and not case.policies <= set(decision.policies):
        missing = ", ".join(sorted(case.policies - set(decision.policies)))
        return f'"{case.name}": expected it by {missing}, got {got}'
    if case.ttl is not None and case.ttl != decision.ttl:
        return f'"{case.name}": expected a TTL of {case.ttl} s, got {decision.ttl} s'
    return ""
