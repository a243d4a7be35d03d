"""What a principal needs before it may act, by what it is: pure, so that no activation goes round it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from assay_server.model.governed.catalogue import Grant, Holder
from assay_server.model.governed.owner import Owner, OwnerState
from assay_server.model.governed.principal import ActorType, Principal


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not said, or does not hold, and the command line's flag that gives it."""

    what: str
    flag: str

    def __str__(self) -> str:
        return f"{self.what} ({self.flag})"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is there of all that a principal names."""

    tools: frozenset[str] = frozenset()
    grants: Mapping[str, Grant] = field(default_factory=dict[str, Grant])


def missing_for(principal: Principal, owner: Owner | None, catalogue: Catalogue) -> list[Missing]:
    """Everything that keeps it from being active; `owner` is the one it names, if there is one."""
    found = [*_accountable(principal, owner), *_refused_grants(principal, catalogue)]
    if principal.actor_type is not ActorType.HUMAN:
        found += _of_machines(principal, catalogue)
    if principal.actor_type is ActorType.AI_AGENT:
        found += _of_agents(principal)
    return found


def misplaced(actor_type: ActorType, grant: Grant) -> str:
    """Why an actor of that type cannot hold the grant; empty if it can.

    The privileges of humans and of machines never mix, and agents do not inherit what administrators hold.
    """
    wanted = Holder.HUMAN if actor_type is ActorType.HUMAN else Holder.MACHINE
    if grant.holder is not wanted:
        return f'grant "{grant.name}" is for {grant.holder.value}s, not for an actor of type {actor_type.value}'
    if grant.administers and actor_type is ActorType.AI_AGENT:
        return f'grant "{grant.name}" is an administrator\'s, which no ai_agent holds'
    return ""


def _accountable(principal: Principal, owner: Owner | None) -> Iterator[Missing]:
    if owner is None:
        yield Missing("live owner", "--owner")
    elif owner.state is not OwnerState.ACTIVE:
        yield Missing(f"live owner, {owner.name} has left", "--owner")
    if not principal.purpose:
        yield Missing("purpose", "--purpose")
    if not principal.environment:
        yield Missing("environment", "--env")
    if not principal.tenant:
        yield Missing("tenant", "--tenant")


def _refused_grants(principal: Principal, catalogue: Catalogue) -> Iterator[Missing]:
    for name in principal.grants:
        grant = catalogue.grants.get(name)
        if grant is None:
            yield Missing(f'grant "{name}" in the catalogue', "assay grant add")
        elif why := misplaced(principal.actor_type, grant):
            yield Missing(f"other grants: {why}", "--grant")


def _of_machines(principal: Principal, catalogue: Catalogue) -> Iterator[Missing]:
    if principal.risk_class is None:
        yield Missing("risk class", "--risk-class")
    if not principal.data_classes:
        yield Missing("data classes", "--data-class")
    for tool in principal.tools:
        if tool not in catalogue.tools:
            yield Missing(f'tool "{tool}" in the catalogue', "assay tool add")


def _of_agents(principal: Principal) -> Iterator[Missing]:
    if not principal.model:
        yield Missing("model", "--model")
    if not principal.tools:
        yield Missing("tools", "--tool")
    if principal.approvals is None:
        yield Missing("approval conditions", "--approval or --no-approvals")
    if principal.heartbeat is None:
        yield Missing("telemetry requirement", "--heartbeat")
    if not principal.triggers:
        yield Missing("revocation triggers", "--trigger")
