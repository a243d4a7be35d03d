"""Cedar, the engine behind `decide`: one question, asked with the schema, and what it answers."""

from dataclasses import dataclass
from typing import Any, cast

import cedarpy


@dataclass(frozen=True, slots=True)
class Answer:
    """Allowed or not, by which policies (their `@id`s, sorted), and what went wrong on the way."""

    allowed: bool
    policies: tuple[str, ...]
    errors: tuple[str, ...]


def ask(
    question: dict[str, Any], entities: list[dict[str, Any]], policies: cedarpy.PolicySet, schema: cedarpy.Schema
) -> Answer:
    """Cedar's answer; an error is never an allowance, since Cedar passes over policies that fail."""
    # The library leaves the parameters of its dictionaries open.
    result = cedarpy.is_authorized(question, policies, entities, schema)  # pyright: ignore[reportUnknownMemberType]
    reasons = result.diagnostics.reasons
    ids = cast("dict[str, str]", result.diagnostics.id_annotations_by_reason)  # pyright: ignore[reportUnknownMemberType]
    errors = tuple(result.diagnostics.errors)
    return Answer(result.allowed and not errors, tuple(sorted(ids.get(one, one) for one in reasons)), errors)
