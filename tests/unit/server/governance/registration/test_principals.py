# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Requirements 5, 6, 7, 41, 45, 46 and 51: principals on a real store, and that a refusal changes nothing."""

from dataclasses import replace
from typing import Any

import pytest

from assay.errors import AlreadyExistsError, AssayError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay_server.datastore.base import Page
from assay_server.governance.inventory import Wanted
from assay_server.governance.principal_state import Move
from assay_server.model.governed.catalogue import ActionClass
from assay_server.model.governed.event import EventType
from assay_server.model.governed.principal import ActorType, PrincipalState
from assay_server.model.governed.task import CREDENTIAL, TaskState

ME = "local:1000"


async def test_registered_is_staged_whatever_it_says_of_itself(house: Any) -> None:
    fresh = await house.register(state=PrincipalState.ACTIVE, revision=9, last_used_at=5, state_reason="x")
    assert (fresh.state, fresh.revision, fresh.last_used_at, fresh.state_reason) == (PrincipalState.STAGED, 1, 0, "")
    assert fresh.created_at == house.now
    (event,) = await house.events("bot")
    assert (event.type, event.actor, event.actor_type) == (EventType.PRINCIPAL_CHANGED, ME, "ai_agent")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"owner": ""}, InvalidArgumentError),
        ({"owner": "alice"}, InvalidArgumentError),
        ({"owner": "person:carol@corp"}, NotFoundError),
        ({"grants": ("nothing",)}, NotFoundError),
        ({"grants": ("root",)}, FailedPreconditionError),
        ({"actor_type": ActorType.SERVICE, "grants": ("root",)}, FailedPreconditionError),
        ({"actor_type": ActorType.HUMAN, "tools": (), "grants": ("batch",)}, FailedPreconditionError),
        ({"actor_type": ActorType.HUMAN}, InvalidArgumentError),
        ({"name": ""}, InvalidArgumentError),
        ({"name": ".."}, InvalidArgumentError),
        ({"name": "a/b"}, InvalidArgumentError),
        ({"name": "x" * 65}, InvalidArgumentError),
        ({"purpose": "two\nlines"}, InvalidArgumentError),
        ({"purpose": "x" * 1_000_000}, InvalidArgumentError),
        ({"tenant": "a b"}, InvalidArgumentError),
        ({"tools": ("crm.read", "crm.read")}, InvalidArgumentError),
        ({"heartbeat": -1}, InvalidArgumentError),
        ({"heartbeat": 10**9}, InvalidArgumentError),
        ({"id_template": "/spire/agent/{name}"}, InvalidArgumentError),
    ],
)
async def test_what_cannot_be_registered_leaves_nothing(
    house: Any, changes: dict[str, Any], error: type[AssayError]
) -> None:
    """Requirements 5, 6, 45 and 46."""
    before = await house.events()
    with pytest.raises(error):
        await house.principals.register(replace(house.whole, **changes), ME)
    assert (await house.inventory.find(Wanted(), Page()))[0] == []
    assert await house.events() == before


async def test_a_live_owner_is_needed_to_register(house: Any) -> None:
    """Requirement 6."""
    await house.owners.leave("person:alice@corp", ME)
    with pytest.raises(FailedPreconditionError, match="has left"):
        await house.register()


async def test_a_name_is_never_used_again(house: Any) -> None:
    await house.register()
    with pytest.raises(AlreadyExistsError):
        await house.register()
    await house.move("bot", Move.RETIRE)
    with pytest.raises(AlreadyExistsError, match="retired"):
        await house.register()


async def test_activation_is_refused_until_all_is_there(house: Any) -> None:
    """Requirement 41."""
    standing = await house.principals.register(
        replace(house.whole, approvals=None, heartbeat=None, triggers=(), tools=("crm.read", "crm.export")), ME
    )
    flags = {one.flag for one in standing.missing}
    assert flags == {"--approval or --no-approvals", "--heartbeat", "--trigger", "assay tool add"}
    with pytest.raises(FailedPreconditionError, match="telemetry requirement"):
        await house.move("bot", Move.ACTIVATE)
    assert (await house.get()).state is PrincipalState.STAGED
    given = replace(house.whole, approvals=(ActionClass.IRREVERSIBLE,), heartbeat=0)
    named = ("approvals", "heartbeat", "triggers", "tools")
    assert (await house.principals.update(given, named, ME)).missing == ()
    assert (await house.move("bot", Move.ACTIVATE)).state is PrincipalState.ACTIVE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("purpose", ""), ("tenant", ""), ("environment", ""), ("data_classes", ()), ("risk_class", None),
        ("model", ""), ("tools", ()), ("tools", ("crm.export",)), ("approvals", None), ("heartbeat", None),
        ("triggers", ()), ("grants", ("root",)), ("owner", ""),
    ],
)  # fmt: skip
async def test_an_active_principal_stays_complete(house: Any, field: str, value: Any) -> None:
    """Requirements 41 and 46: what would make it incomplete, or hold what it cannot, is refused."""
    active = await house.activate()
    with pytest.raises(AssayError):
        await house.principals.update(replace(house.whole, **{field: value}), (field,), ME)
    assert await house.get() == active


@pytest.mark.parametrize(
    ("actor_type", "grant"),
    [
        (ActorType.AI_AGENT, "root"),
        (ActorType.SERVICE, "root"),
        (ActorType.MACHINE, "root"),
        (ActorType.HUMAN, "batch"),
    ],
)
async def test_a_staged_principal_cannot_be_given_the_others_grants_either(
    house: Any, actor_type: ActorType, grant: str
) -> None:
    """Requirements 45 and 46."""
    tools = () if actor_type is ActorType.HUMAN else house.whole.tools
    staged = await house.register(actor_type=actor_type, tools=tools)
    with pytest.raises(FailedPreconditionError, match="cannot hold that"):
        await house.principals.update(replace(staged, grants=(grant,)), ("grants",), ME)
    assert await house.get() == staged


async def test_an_update_takes_over_the_named_fields_alone(house: Any) -> None:
    await house.activate()
    house.clock.advance(60)
    given = replace(house.whole, purpose="close tickets", tenant="other")
    after = (await house.principals.update(given, ("purpose",), ME)).principal
    assert (after.purpose, after.tenant, after.revision) == ("close tickets", "acme", 3)
    assert (after.created_at, after.updated_at) == (house.now - 60, house.now)
    assert (await house.events("bot"))[-1].details == {
        "change": "updated", "state": "active", "owner": "person:alice@corp", "revision": 3, "fields": ["purpose"],
    }  # fmt: skip


@pytest.mark.parametrize("field", ["actor_type", "name", "state", "created_at", "revision", "nonsense"])
async def test_what_is_never_changed(house: Any, field: str) -> None:
    await house.register()
    with pytest.raises(InvalidArgumentError, match="never changed"):
        await house.principals.update(house.whole, (field,), ME)


async def test_retired_is_for_ever_and_leaves_nothing_live(house: Any) -> None:
    """Requirement 51."""
    await house.activate()
    entry = await house.bind()
    await house.work()
    moved = await house.principals.move("bot", Move.RETIRE, "replaced", ME)
    assert (moved.stopped.tasks, moved.stopped.credentials, moved.stopped.bindings) == (1, 1, 1)
    assert (await house.get()).state_reason == "replaced"
    assert await house.entry(entry.id) is None
    assert (await house.task()).state is TaskState.REVOKED
    assert (await house.credential()).revoked_at == house.now
    assert (await house.inventory.get("bot")).live_credentials == 0
    for move in Move:
        with pytest.raises(FailedPreconditionError, match="is retired"):
            await house.move("bot", move)
    with pytest.raises(FailedPreconditionError):
        await house.principals.update(house.whole, ("purpose",), ME)
    with pytest.raises(FailedPreconditionError):
        await house.bind()


async def test_suspending_withholds_bindings_and_ends_work_in_the_same_transaction(house: Any) -> None:
    await house.activate()
    entry = await house.bind()
    await house.work()
    assert not entry.withheld
    suspended = (await house.principals.move("bot", Move.SUSPEND, "looks odd", ME)).principal
    held = await house.entry(entry.id)
    assert (suspended.state, suspended.state_reason) == (PrincipalState.SUSPENDED, "looks odd")
    assert held.withheld
    assert held.revision == entry.revision + 1
    assert (await house.task()).state_reason == "principal_suspended"
    assert (await house.credential()).cause == "principal_suspended"

    await house.move("bot", Move.RESUME)
    assert not (await house.entry(entry.id)).withheld
    assert (await house.task()).state is TaskState.REVOKED  # what ended stays so


async def test_credentials_without_a_task_are_revoked_as_well(house: Any) -> None:
    """Requirement 51: none of a principal's outlives its being active, whatever it stands on."""
    await house.activate()
    _, token = await house.work()
    other = replace(token, jti="crd_other", task_id="")
    over = replace(token, jti="crd_over", expires_at=house.now)
    await house.store.write(lambda tx: (tx.governed.put(CREDENTIAL, other), tx.governed.put(CREDENTIAL, over)))
    moved = await house.principals.move("bot", Move.SUSPEND, "", ME)
    assert moved.stopped.credentials == 2
    assert (await house.store.read(lambda tx: tx.governed.get(CREDENTIAL, "crd_other"))).revoked_at == house.now
    assert not (await house.store.read(lambda tx: tx.governed.get(CREDENTIAL, "crd_over"))).revoked_at


async def test_resuming_needs_all_that_activating_needs(house: Any) -> None:
    await house.activate()
    await house.move("bot", Move.SUSPEND)
    await house.principals.update(replace(house.whole, tenant=""), ("tenant",), ME)
    with pytest.raises(FailedPreconditionError, match="tenant"):
        await house.move("bot", Move.RESUME)
    assert (await house.get()).state is PrincipalState.SUSPENDED


async def test_what_is_not_there_is_said(house: Any) -> None:
    for work in (
        house.move("none", Move.ACTIVATE),
        house.principals.update(replace(house.whole, name="none"), ("purpose",), ME),
        house.inventory.get("none"),
        house.bind("none"),
    ):
        with pytest.raises(NotFoundError):
            await work


async def test_doubts_are_what_operators_say_with_a_reason_and_are_written_down(house: Any) -> None:
    """Requirements 29 and 48."""
    await house.activate()
    doubtful = await house.principals.set_risk("bot", 70, "reads at night", ME)
    assert (doubtful.risk_score, doubtful.risk_reason) == (70, "reads at night")
    held = await house.principals.quarantine("bot", "exports", ME)
    assert (held.quarantined, held.quarantine_reason, held.risk_score) == (True, "exports", 70)
    assert held.revision == doubtful.revision + 1
    out = await house.principals.quarantine("bot", "a test", ME, released=True)
    assert (out.quarantined, out.quarantine_reason, out.state) == (False, "", PrincipalState.ACTIVE)
    told = [(one.type, one.details["change"], one.details["reason"]) for one in (await house.events("bot"))[-3:]]
    kind = EventType.PRINCIPAL_CHANGED
    assert told == [
        (kind, "risk_set", "reads at night"),
        (kind, "quarantined", "exports"),
        (kind, "released", "a test"),
    ]


@pytest.mark.parametrize(
    ("score", "reason", "error"),
    [
        (-1, "x", InvalidArgumentError),
        (101, "x", InvalidArgumentError),
        (50, "", InvalidArgumentError),
        (50, "two\nlines", InvalidArgumentError),
    ],
)
async def test_a_doubt_that_says_nothing_changes_nothing(
    house: Any, score: int, reason: str, error: type[AssayError]
) -> None:
    await house.activate()
    before = await house.events("bot")
    with pytest.raises(error):
        await house.principals.set_risk("bot", score, reason, ME)
    assert await house.events("bot") == before


async def test_who_is_unknown_retired_or_free_is_not_doubted_or_released(house: Any) -> None:
    with pytest.raises(NotFoundError):
        await house.principals.quarantine("bot", "x", ME)
    await house.activate()
    with pytest.raises(FailedPreconditionError, match="not in quarantine"):
        await house.principals.quarantine("bot", "x", ME, released=True)
    await house.principals.move("bot", Move.RETIRE, "", ME)
    with pytest.raises(FailedPreconditionError, match="retired"):
        await house.principals.set_risk("bot", 1, "x", ME)


async def test_nobody_doubts_or_clears_itself_by_an_update(house: Any) -> None:
    fresh = await house.register(risk_score=90, quarantined=True)
    assert (fresh.risk_score, fresh.quarantined) == (0, False)
    with pytest.raises(InvalidArgumentError, match="never changed"):
        await house.principals.update(fresh, ["quarantined"], ME)
