"""Requirements 5, 6, 7 and 41: what each actor type needs before it may act, and what no actor of a type may hold."""

from dataclasses import replace
from typing import Any

import pytest

from assay_server.governance.missing import Catalogue, misplaced, missing_for
from assay_server.model.governed.catalogue import Grant, Holder, Risk
from assay_server.model.governed.owner import Owner, OwnerState
from assay_server.model.governed.principal import ActorType, Principal, Trigger

ALICE = Owner("person:alice@corp")
CATALOGUE = Catalogue(frozenset({"crm.read"}))
WHOLE = Principal(
    "bot",
    ActorType.AI_AGENT,
    owner=ALICE.name,
    purpose="answer tickets",
    environment="prod",
    tenant="acme",
    data_classes=("customer",),
    risk_class=Risk.LOW,
    model="acme-llm-4",
    tools=("crm.read",),
    approvals=(),
    heartbeat=0,
    triggers=(Trigger.OWNER_LEFT,),
)
OF_ALL: dict[str, Any] = {"purpose": "", "environment": "", "tenant": ""}
OF_MACHINES: dict[str, Any] = {"risk_class": None, "data_classes": ()}
OF_AGENTS: dict[str, Any] = {"model": "", "tools": (), "approvals": None, "heartbeat": None, "triggers": ()}
FLAGS = {
    "purpose": "--purpose", "environment": "--env", "tenant": "--tenant", "risk_class": "--risk-class",
    "data_classes": "--data-class", "model": "--model", "tools": "--tool", "heartbeat": "--heartbeat",
    "approvals": "--approval or --no-approvals", "triggers": "--trigger",
}  # fmt: skip


def of(actor_type: ActorType) -> Principal:
    return replace(WHOLE, actor_type=actor_type, tools=() if actor_type is ActorType.HUMAN else WHOLE.tools)


@pytest.mark.parametrize("actor_type", list(ActorType))
def test_nothing_is_missing_of_what_is_complete(actor_type: ActorType) -> None:
    assert missing_for(of(actor_type), ALICE, CATALOGUE) == []


@pytest.mark.parametrize("actor_type", list(ActorType))
@pytest.mark.parametrize("field", FLAGS)
def test_each_field_is_missed_by_those_that_need_it_with_its_flag(field: str, actor_type: ActorType) -> None:
    """Requirement 41."""
    needed = {
        ActorType.HUMAN: OF_ALL,
        ActorType.SERVICE: OF_ALL | OF_MACHINES,
        ActorType.MACHINE: OF_ALL | OF_MACHINES,
        ActorType.AI_AGENT: OF_ALL | OF_MACHINES | OF_AGENTS,
    }[actor_type]
    without = replace(of(actor_type), **{field: (OF_ALL | OF_MACHINES | OF_AGENTS)[field]})
    found = [one.flag for one in missing_for(without, ALICE, CATALOGUE)]
    assert found == ([FLAGS[field]] if field in needed else [])


@pytest.mark.parametrize("owner", [None, replace(ALICE, state=OwnerState.LEFT)])
@pytest.mark.parametrize("actor_type", list(ActorType))
def test_everybody_needs_a_live_owner(actor_type: ActorType, owner: Owner | None) -> None:
    """Requirement 6."""
    (missing,) = missing_for(of(actor_type), owner, CATALOGUE)
    assert missing.flag == "--owner"
    assert missing.what.startswith("live owner")


def test_tools_must_be_in_the_catalogue() -> None:
    (missing,) = missing_for(replace(WHOLE, tools=("crm.read", "crm.refund")), ALICE, CATALOGUE)
    assert str(missing) == 'tool "crm.refund" in the catalogue (assay tool add)'


HUMANS, ADMINS = Grant("reader", Holder.HUMAN), Grant("root", Holder.HUMAN, administers=True)
MACHINES, ROBOTS = Grant("batch", Holder.MACHINE), Grant("controller", Holder.MACHINE, administers=True)


@pytest.mark.parametrize(
    ("actor_type", "held"),
    [
        (ActorType.HUMAN, {HUMANS, ADMINS}),
        (ActorType.SERVICE, {MACHINES, ROBOTS}),
        (ActorType.MACHINE, {MACHINES, ROBOTS}),
        (ActorType.AI_AGENT, {MACHINES}),
    ],
)
def test_grants_of_humans_and_machines_never_mix(actor_type: ActorType, held: set[Grant]) -> None:
    """Requirements 45 and 46: nor does an agent hold what administrators hold."""
    assert {one for one in (HUMANS, ADMINS, MACHINES, ROBOTS) if not misplaced(actor_type, one)} == held


def test_a_grant_that_cannot_be_held_keeps_a_principal_from_being_active() -> None:
    """Requirement 46, whatever way it came there."""
    catalogue = Catalogue(CATALOGUE.tools, {"root": ADMINS})
    found = missing_for(replace(WHOLE, grants=("root", "gone")), ALICE, catalogue)
    assert [one.flag for one in found] == ["--grant", "assay grant add"]
