"""Delegation and privilege elevation are events of their own, beside the opening or the token that they come with."""

from dataclasses import replace
from typing import Any

from assay_server.governance.elevation import elevations_of_credential
from assay_server.governance.tasks import TaskService
from assay_server.model.governed.catalogue import ActionClass
from assay_server.model.governed.event import Event, EventType

World = Any  # the fixture's, of conftest.py


async def of(world: World, task_id: str, kind: EventType) -> list[Event]:
    return [one for one in await world.events(task_id) if one.type is kind]


async def test_a_task_of_a_principals_own_delegates_nothing(world: World, tasks: TaskService) -> None:
    task = await tasks.open(world.request(), world.opener)
    types = {one.type for one in await world.events(task.task_id)}
    assert types == {EventType.DECISION, EventType.TASK_OPENED}


async def test_a_task_below_another_is_a_delegation_that_says_what_was_narrowed(
    world: World, tasks: TaskService
) -> None:
    parent = await tasks.open(world.request("crm.read", "crm.refund"), world.opener)
    child = await tasks.open(world.request("crm.read", parent=parent.task_id), world.opener)
    (event,) = await of(world, child.task_id, EventType.DELEGATION)
    assert (event.actor, event.subject, event.principal, event.actor_type) == (
        world.me, child.task_id, "bot", "ai_agent",
    )  # fmt: skip
    assert event.details == {
        "from": f"workload:{world.me}", "subject_profile": "", "to": world.me, "parent": parent.task_id,
        "parent_authority_hash": parent.authority_hash, "authority_hash": child.authority_hash,
        "intent_hash": child.intent_hash, "depth": 1, "ends_at": child.ends_at,
    }  # fmt: skip
    assert event.details["authority_hash"] != event.details["parent_authority_hash"]
    assert await of(world, parent.task_id, EventType.DELEGATION) == []


async def test_a_task_for_a_human_is_a_delegation_from_the_human(world: World, tasks: TaskService) -> None:
    opener = replace(world.opener, subject="alice@corp", subject_profile="user")
    task = await tasks.open(world.request(), opener)
    (event,) = await of(world, task.task_id, EventType.DELEGATION)
    said = event.details
    assert (said["from"], said["subject_profile"], said["to"]) == ("alice@corp", "user", world.me)
    assert (said["parent"], said["depth"], said["authority_hash"]) == ("", 0, task.authority_hash)


async def test_a_task_that_administers_is_a_privilege_elevation(world: World, tasks: TaskService) -> None:
    await world.put(replace(world.refund, action_class=ActionClass.PRIVILEGED_ADMINISTRATION))
    task = await tasks.open(world.request("crm.read", "crm.refund"), world.opener)
    (event,) = await of(world, task.task_id, EventType.PRIVILEGE_ELEVATION)
    assert (event.actor, event.subject, event.details["actions"]) == (world.me, task.task_id, ["crm.refund"])
    decided = [one.subject for one in await of(world, task.task_id, EventType.DECISION)]
    assert event.details["decisions"] == decided
    ordinary = await tasks.open(world.request("crm.read"), world.opener)
    assert await of(world, ordinary.task_id, EventType.PRIVILEGE_ELEVATION) == []


async def test_a_token_that_administers_is_one_as_well(world: World, tasks: TaskService) -> None:
    """The floor wants an approval for it, which nobody can give yet: so without the service."""
    task = await tasks.open(world.request(), world.opener)
    credential = world.credential(task, "crd_1")
    (event,) = elevations_of_credential(credential, task, world.bot, world.me, ["crm.refund"])
    assert (event.type, event.subject, event.task_id) == (EventType.PRIVILEGE_ELEVATION, "crd_1", task.task_id)
    assert event.details == {
        "point": "credential:issue", "actions": ["crm.refund"], "audience": credential.audience,
        "authority_hash": credential.authority_hash, "decisions": ["dec_1"], "ends_at": credential.expires_at,
    }  # fmt: skip
    assert list(elevations_of_credential(credential, task, world.bot, world.me, [])) == []
