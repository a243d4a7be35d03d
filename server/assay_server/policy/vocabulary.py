"""The words that rules compare with: a rule about a risk that does not exist would validate and never hold."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any

from cedarpy import pst

from assay_server.model.governed.catalogue import ActionClass, Risk, Sensitivity
from assay_server.model.governed.principal import ActorType, PrincipalState
from assay_server.model.governed.task import TaskState
from assay_server.policy.engine import schema_text
from assay_server.policy.environment import TRUSTS


def _values(kind: type[Enum]) -> tuple[str, ...]:
    return tuple(each.value for each in kind)


WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "actorType": _values(ActorType),
        "actionClass": _values(ActionClass),
        "approvals": _values(ActionClass),
        "risk": _values(Risk),
        "riskClass": _values(Risk),
        "sensitivity": _values(Sensitivity),
        "state": (*_values(PrincipalState), *_values(TaskState)),
        "environmentTrust": TRUSTS,
        "credential": ("at+jwt", "jwt-svid", "wit-svid"),
        "trigger": ("workload", "operator", "event"),
    }
)
"""What an attribute can be, by its name; those that are not here can be anything."""


@cache
def names() -> frozenset[str]:
    """Attributes, types and actions of the schema."""
    text = re.sub(r"//.*", "", schema_text())
    types = re.findall(r"\b(?:entity|type) ([A-Za-z, ]+?)(?= in | =)", text)
    return frozenset(re.findall(r'"([A-Za-z:]+)"', text)) | {f"Assay::{name}" for name in types}


def nearest(word: str, known: Iterable[str]) -> str:
    """A question whether that one was meant; empty if none is near."""
    lowered = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), lowered, 1, 0.6) if word not in lowered.values() else []
    return f"did you mean {lowered[found[0]]}?" if found else ""


def strangers(template: pst.Template) -> Iterator[tuple[str, str]]:
    """Attributes and what they are compared with, where they never have that value."""
    for node in walk(template.clauses):
        if isinstance(node, pst.BinaryOp):
            for attribute, word in _compared(node):
                if word not in WORDS.get(attribute, (word,)):
                    yield attribute, word


def walk(node: Any) -> Iterator[Any]:  # noqa: ANN401 - nodes of Cedar's syntax tree, and tuples of them
    """The node and all below it."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, tuple):
            waiting.extend(one)  # pyright: ignore[reportUnknownArgumentType] - of whatever is in it
        elif is_dataclass(one):
            waiting.extend(getattr(one, each.name) for each in fields(one))


def _compared(node: pst.BinaryOp) -> Iterator[tuple[str, str]]:
    match node:
        case pst.BinaryOp(op="eq" | "not_eq", left=pst.GetAttr(attr=name), right=pst.StringLit(value=word)):
            yield name, word
        case pst.BinaryOp(op="eq" | "not_eq", left=pst.StringLit(value=word), right=pst.GetAttr(attr=name)):
            yield name, word
        case pst.BinaryOp(op="contains", left=pst.GetAttr(attr=name), right=pst.StringLit(value=word)):
            yield name, word
        case pst.BinaryOp(op="contains", left=pst.Set(elements=words), right=pst.GetAttr(attr=name)):
            yield from ((name, each.value) for each in words if isinstance(each, pst.StringLit))
        case pst.BinaryOp(
            op="contains_all" | "contains_any", left=pst.GetAttr(attr=name), right=pst.Set(elements=words)
        ):
            yield from ((name, each.value) for each in words if isinstance(each, pst.StringLit))
        case _:
            return
