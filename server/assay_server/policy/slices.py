"""Of a large set, the policies that can say anything about a request: Cedar looks at every policy it is given.

A policy is left out only where its scope, or the first thing it asks, cannot hold for such a request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cedarpy
from cedarpy import pst

from assay_server.policy.rule import Rule

_KEPT = 512
"""Slices kept ready; one is made in some ms."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What a request is sliced by: Cedar's type of the principal, its name and actor type, the action, the tool.

    Without `asking`, policies that a human's approval lifts are left out.
    """

    kind: str
    actor_type: str
    principal: str
    action: str
    tool: str
    asking: bool = True


class Slices:
    """A set's slices, made as they are asked for."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._principals = frozenset(filter(None, (_named(rule.template.principal) for rule in rules)))
        self._tools = frozenset(filter(None, (_named(rule.template.resource) for rule in rules)))
        self._made: dict[Slice, cedarpy.PolicySet] = {}

    def of(self, kind: str, actor_type: str, principal: str, action: str, tool: str, *, asking: bool) -> Any:  # noqa: ANN401 - cedarpy.PolicySet, which its stubs hide
        """The policies for such a request; names that no policy has in its scope share one slice."""
        principal = principal if principal in self._principals else ""
        wanted = Slice(kind, actor_type, principal, action, tool if tool in self._tools else "", asking)
        made = self._made.get(wanted)
        if made is None:
            made = cedarpy.PolicySet.from_pst(pst.PolicySet({}, self._chosen(wanted), ()))
            if len(self._made) >= _KEPT:
                self._made.clear()
            self._made[wanted] = made
        return made

    def _chosen(self, wanted: Slice) -> dict[str, pst.Template]:
        return {rule.policy_id: rule.template for rule in self._rules if _concerns(rule, wanted)}


def _concerns(rule: Rule, wanted: Slice) -> bool:
    template = rule.template
    return (
        (wanted.asking or not rule.requires)
        and _matches(template.principal, wanted.kind, wanted.principal)
        and _matches(template.resource, "Tool", wanted.tool)
        and _acts(template.action, wanted.action)
        and _actor_type(template) in {None, wanted.actor_type}
    )


def _named(scope: pst.PrincipalOrResourceConstraint) -> str | None:
    match scope:
        case pst.ScopeEq(entity=pst.EntityUid(id=name)):
            return name
        case _:
            return None


def _matches(scope: pst.PrincipalOrResourceConstraint, kind: str, name: str) -> bool:
    match scope:
        case pst.ScopeEq(entity=pst.EntityUid(type=found, id=found_name)):
            return (found.basename, found_name) == (kind, name)
        case pst.ScopeIs(entity_type=found) | pst.ScopeIsIn(entity_type=found):
            return found.basename == kind
        case _:
            return True


def _acts(scope: pst.ActionConstraint, action: str) -> bool:
    match scope:
        case pst.ActionEq(entity=found):
            return found.id == action
        case pst.ActionIn(entities=found):
            return action in {each.id for each in found}
        case _:
            return True


def _actor_type(template: pst.Template) -> str | None:
    """The actor type that the first condition begins with; a later one is reached only if what is before it holds."""
    first = template.clauses[0] if template.clauses else None
    if not isinstance(first, pst.When):
        return None
    expression = first.expr
    while isinstance(expression, pst.BinaryOp) and expression.op == "and":
        expression = expression.left
    match expression:
        case pst.BinaryOp(
            op="eq",
            left=pst.GetAttr(base=pst.Var(name="principal"), attr="actorType"),
            right=pst.StringLit(value=found),
        ):
            return found
        case _:
            return None
