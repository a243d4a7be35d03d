"""What a person reads of a decision: which rule, why, and what can be done about it."""

from collections.abc import Mapping, Sequence

from assay_server.policy.rule import Rule

NOTHING_PERMITS = "no policy permits it"


def reason_of(rules: Sequence[Rule], *, lifted: bool) -> str:
    """Why it is refused, or waits for approval: each rule with its own words."""
    if not rules:
        return NOTHING_PERMITS
    said = "; ".join(f"{rule.policy_id}: {rule.reason}" if rule.reason else rule.policy_id for rule in rules)
    return f"{'needs approval' if lifted else 'denied'} by {said}"


def advice_of(rules: Sequence[Rule]) -> str:
    """What can be done."""
    if not rules:
        return "ask whoever keeps the policies for a permit; `assay policy explain` shows what it was decided by"
    return "; ".join(dict.fromkeys(rule.advice for rule in rules if rule.advice))


def obligations_of(rules: Sequence[Rule]) -> Mapping[str, str]:
    """The duties of all of them; where two name one, both are said."""
    named = sorted({(name, value) for rule in rules for name, value in rule.obligations.items()})
    found: dict[str, str] = {}
    for name, value in named:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
