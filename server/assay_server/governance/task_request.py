"""What somebody asks a task to be, read from what they sent: sizes first, before anything is parsed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from assay.bundle.strictjson import parse_object
from assay.errors import InvalidArgumentError
from assay.governed import constraints as bounds
from assay.governed.authority import Authority, authority_of
from assay_server.model.governed.task import Budget, Intent

MAX_INTENT = 16 * 1024
"""Bytes of JSON."""

MAX_DETAILS = 64 * 1024
"""Likewise, of an authority."""

MAX_GOAL = 4096
"""Characters (mission-bound authorization, Mission Intent)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """A task that does not exist yet. `ends_at` and `heartbeat` are 0 where nothing is asked; `parent` may be empty."""

    intent: Intent
    authority: Authority
    constraints: dict[str, Any] = field(default_factory=dict[str, Any])
    data_classes: tuple[str, ...] = ()
    budget: Budget = field(default_factory=Budget)
    ends_at: int = 0
    heartbeat: int = 0
    parent: str = ""


def intent_of(text: str) -> Intent:
    """A mission intent, of which `intent_hash` is made as it was sent.

    Raises:
        InvalidArgumentError: it is too large, no JSON object, lacks its goal, or has a control that nobody here
            enforces.
    """
    _check_size(text, MAX_INTENT, "intent")
    document = dict(parse_object(text, "intent"))
    goal, purpose = document.get("goal"), document.get("purpose", "")
    if not isinstance(goal, str) or not 0 < len(goal) <= MAX_GOAL:
        raise InvalidArgumentError(f"intent: goal must be a text of at most {MAX_GOAL} characters")
    if not isinstance(purpose, str):
        raise InvalidArgumentError("intent: purpose must be a text")
    if controls := document.get("controls"):
        name = min(cast("dict[str, object]", controls)) if isinstance(controls, dict) else str(controls)
        raise InvalidArgumentError(
            f"intent: control {name[:80]!r} is not enforced here",
            hint="bounds of a task are its budget, its constraints and its end",
        )
    _check_texts(document)
    expires_at(Intent(goal, purpose, document))
    return Intent(goal, purpose, document)


def expires_at(intent: Intent) -> int | None:
    """The end that the intent itself asks for, in Unix seconds; None if it does not.

    Raises:
        InvalidArgumentError: it is no date and time.
    """
    if "expires_at" not in intent.document:
        return None
    try:
        return int(bounds.instant(intent.document["expires_at"]).timestamp())
    except (ValueError, OverflowError):
        raise InvalidArgumentError("intent: expires_at must be a date and time (RFC 3339)") from None


def details_of(text: str) -> Authority:
    """An authority from `authorization_details` as JSON.

    Raises:
        InvalidArgumentError: it is too large, or none.
    """
    _check_size(text, MAX_DETAILS, "authorization_details")
    # The parser that refuses members which come twice takes objects only.
    found = parse_object(f'{{"all":{text}}}', "authorization_details")
    return authority_of(found["all"] if set(found) == {"all"} else None)


def constraints_of(text: str) -> dict[str, Any]:
    """Constraints as JSON; none of nothing.

    Raises:
        InvalidArgumentError: one is not known, or not written as it has to be.
    """
    if not text:
        return {}
    _check_size(text, MAX_INTENT, "constraints")
    found = dict(parse_object(text, "constraints"))
    bounds.check(found)
    return found


def check_covered(request: TaskRequest) -> None:
    """See that an intent that names its resources names all that the authority is about.

    Raises:
        InvalidArgumentError: it does not.
    """
    named: Any = request.intent.document.get("resources")
    if named is None:
        return
    for access in request.authority:
        if access.resource not in named:
            raise InvalidArgumentError(f"resource {access.resource} is none that the intent names")


def plain_intent(goal: str, purpose: str = "") -> str:
    """The shortest intent with that goal and purpose."""
    return json.dumps({"goal": goal} | ({"purpose": purpose} if purpose else {}), ensure_ascii=False)


def _check_size(text: str, most: int, what: str) -> None:
    if len(text) > most or len(text.encode(errors="replace")) > most:
        raise InvalidArgumentError(f"{what} has more than {most} bytes")


def _check_texts(document: Mapping[str, object]) -> None:
    for name in ("resources", "constraints", "success_criteria"):
        found = document.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in cast("list[object]", found)):
            raise InvalidArgumentError(f"intent: {name} must be a list of texts")
