"""Cedar, the engine behind `decide`: one question, asked with the schema, and what it answers."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cedarpy

_KEPT = 512
"""Sets of entities kept parsed: a task's next call finds its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Allowed or not, by which policies (their IDs, sorted), and what went wrong on the way."""

    allowed: bool
    policies: tuple[str, ...]
    errors: tuple[str, ...]


def ask(
    question: dict[str, Any], entities: list[dict[str, Any]], policies: cedarpy.PolicySet, schema: cedarpy.Schema
) -> Answer:
    """Cedar's answer; an error is never an allowance, since Cedar passes over policies that fail.

    Without the schema it would not even notice that a fact is missing, pass over the `forbid` that needs it and allow.
    """
    known = _parsed(json.dumps(entities), schema)
    # The library leaves the parameters of its dictionaries open.
    result = cedarpy.is_authorized(question, policies, known, schema)  # pyright: ignore[reportUnknownMemberType]
    errors = tuple(result.diagnostics.errors)
    return Answer(result.allowed and not errors, tuple(sorted(result.diagnostics.reasons)), errors)


@lru_cache(maxsize=_KEPT)
def _parsed(entities: str, schema: cedarpy.Schema) -> cedarpy.Entities:
    """Checked against the schema here: Cedar does not look again."""
    return cedarpy.Entities.from_json_str(entities, schema)  # pyright: ignore[reportUnknownMemberType]


def complaints(policy: str, schema: cedarpy.Schema) -> list[str]:
    """What Cedar's validator has against a policy."""
    result = cedarpy.validate_policies(policy, schema)  # pyright: ignore[reportUnknownMemberType]
    return [each.error for each in result.errors]
