"""What a permit asks for, read from its text, so that probes of the floor come as far as it lets anybody come."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from cedarpy import pst

from assay_server.policy.environment import UNKNOWN
from assay_server.policy.rule import Rule
from assay_server.policy.sample import Overrides

# Cedar's names of attributes, and the section and field of a sample that they are made of.
_FIELDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "principal.name": ("principal", "name"),
        "principal.actorType": ("principal", "actor_type"),
        "principal.purpose": ("principal", "purpose"),
        "principal.environment": ("principal", "environment"),
        "principal.environmentTrust": ("principal", "environment"),
        "principal.tenant": ("principal", "tenant"),
        "principal.dataClasses": ("principal", "data_classes"),
        "principal.riskClass": ("principal", "risk_class"),
        "principal.model": ("principal", "model"),
        "principal.grants": ("principal", "grants"),
        "principal.approvals": ("principal", "approvals"),
        "principal.quarantined": ("request", "quarantined"),
        "resource.name": ("tool", "name"),
        "resource.actionClass": ("tool", "action_class"),
        "resource.risk": ("tool", "risk"),
        "resource.exports": ("tool", "exports"),
        "resource.resource": ("resource", "uri"),
        "resource.environment": ("resource", "environment"),
        "resource.environmentTrust": ("resource", "environment"),
        "resource.tenant": ("resource", "tenant"),
        "resource.sensitivity": ("resource", "sensitivity"),
        "resource.dataClasses": ("resource", "data_classes"),
        "context.audience": ("request", "audience"),
        "context.instance": ("request", "instance"),
        "context.credential": ("request", "kind"),
        "context.confirmed": ("request", "confirmed"),
        "context.requestedTtl": ("request", "requested_ttl"),
        "context.riskScore": ("request", "risk_score"),
        "context.customer": ("request", "customer"),
        "context.chain": ("request", "chain"),
        "context.depth": ("request", "depth"),
        "context.paramsDigest": ("request", "parameters_digest"),
        "context.task.goal": ("task", "goal"),
        "context.task.purpose": ("task", "purpose"),
        "context.task.tenant": ("task", "tenant"),
        "context.task.environment": ("task", "environment"),
        "context.task.dataClasses": ("task", "data_classes"),
        "context.task.trigger": ("task", "trigger"),
        "context.task.subject": ("task", "subject"),
        "context.task.heartbeat": ("task", "heartbeat"),
        "context.task.watched": ("task", "heartbeat"),
    }
)
_SETS = {"data_classes", "grants", "approvals", "chain"}


def wanted_by(rule: Rule) -> Overrides:
    """What a request has to be like for this permit, as far as its scope and its conditions say plainly."""
    found: dict[str, dict[str, Any]] = {}
    for path, value in (*_scope(rule.template), *_conditions(rule.template)):
        section, field = _FIELDS.get(path, ("", ""))
        if section and field in _SETS:
            found.setdefault(section, {}).setdefault(field, []).append(value)
        elif section:
            found.setdefault(section, {}).setdefault(field, _value(path, value))
    return found


def point_of(rule: Rule) -> str:
    """The gravest action that it is for."""
    scope = rule.template.action
    named = {scope.entity.id} if isinstance(scope, pst.ActionEq) else set[str]()
    if isinstance(scope, pst.ActionIn):
        named = {each.id for each in scope.entities}
    order = ("credential:issue", "tool:call", "task:open")
    return next((point for point in order if not named or point in named), order[0])


def _value(path: str, value: Any) -> Any:  # noqa: ANN401 - of whatever the field is
    if path.endswith("environmentTrust") and value == UNKNOWN:
        return "elsewhere"
    return 60 * value if path.endswith("watched") else value


def _scope(template: pst.Template) -> Iterator[tuple[str, Any]]:
    match template.principal:
        case pst.ScopeEq(entity=pst.EntityUid(type=kind, id=name)):
            yield "principal.name", name
            yield from _kind(kind)
        case pst.ScopeIs(entity_type=kind):
            yield from _kind(kind)
        case pst.ScopeIsIn(entity_type=kind, entity=pst.EntityUid(id=name)):
            yield from _kind(kind)
            yield "principal.grants", name
        case pst.ScopeIn(entity=pst.EntityUid() as grant):
            yield from _grant(grant)
        case _:
            pass
    match template.resource:
        case pst.ScopeEq(entity=pst.EntityUid(id=name)):
            yield "resource.name", name
        case _:
            pass


def _kind(kind: pst.EntityType) -> Iterator[tuple[str, Any]]:
    if kind.basename == "Human":
        yield "principal.actorType", "human"


def _grant(grant: pst.EntityUid) -> Iterator[tuple[str, Any]]:
    yield "principal.grants", grant.id
    if grant.type.basename == "HumanGrant":
        yield "principal.actorType", "human"


def _conditions(template: pst.Template) -> Iterator[tuple[str, Any]]:
    waiting: list[pst.Expr] = [each.expr for each in template.clauses if isinstance(each, pst.When)]
    while waiting:
        expression = waiting.pop()
        if isinstance(expression, pst.BinaryOp) and expression.op == "and":
            waiting += [expression.left, expression.right]
        elif isinstance(expression, pst.BinaryOp) and expression.op == "or":
            waiting.append(expression.left)  # one way in is enough
        else:
            yield from _plain(expression)


def _plain(expression: pst.Expr) -> Iterator[tuple[str, Any]]:
    match expression:
        case pst.GetAttr():
            yield _path(expression), True
        case pst.UnaryOp(op="not", arg=pst.GetAttr() as attribute):
            yield _path(attribute), False
        case pst.BinaryOp(op="eq", left=pst.GetAttr() as attribute, right=pst.StringLit(value=value)):
            yield _path(attribute), value
        case pst.BinaryOp(op="eq" | "greater_eq", left=pst.GetAttr() as attribute, right=pst.LongLit(value=value)):
            yield _path(attribute), value
        case pst.BinaryOp(op="greater", left=pst.GetAttr() as attribute, right=pst.LongLit(value=value)):
            yield _path(attribute), value + 1
        case pst.BinaryOp(op="contains", left=pst.GetAttr() as attribute, right=pst.StringLit(value=value)):
            yield _path(attribute), value
        case pst.BinaryOp(op="contains", left=pst.Set(elements=(pst.StringLit(value=value), *_)), right=attribute):
            yield _path(attribute), value
        case pst.BinaryOp(op="contains" | "in", right=pst.EntityLit(value=grant)):
            yield from _grant(grant)
        case _:
            return


def _path(expression: pst.Expr) -> str:
    names: list[str] = []
    while isinstance(expression, pst.GetAttr):
        names.insert(0, expression.attr)
        expression = expression.base
    return ".".join([expression.name, *names]) if isinstance(expression, pst.Var) else ""
