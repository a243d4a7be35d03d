# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Requirements 7, 32, 45 and 46: the catalogue, and that nothing goes, or turns, under whoever stands on it."""

from dataclasses import replace
from typing import Any

import pytest

from assay.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay_server.datastore.base import Page
from assay_server.governance.principal_state import Move
from assay_server.model.governed.catalogue import ActionClass, Grant, Holder, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.principal import ActorType

CRM, ME = "https://crm.corp/mcp", "local:1000"
READ = Tool("crm.read", CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)


@pytest.mark.parametrize(
    "uri", ["", "crm", "/crm", "https://", "https://crm/#x", "https://crm corp", "https://ä", "https://c/" + "x" * 2048]
)
async def test_a_resource_has_a_uri_that_can_be_an_audience(house: Any, uri: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a resource's URI"):
        await house.resources.add(Resource(uri, "prod", "acme", Sensitivity.PUBLIC), ME)


@pytest.mark.parametrize("uri", ["https://crm.corp", "urn:corp:ledger", "postgres://db/x", "https://crm/x?tenant=a"])
async def test_such_uris_are_good(house: Any, uri: str) -> None:
    added = await house.resources.add(Resource(uri, "prod", "", Sensitivity.PUBLIC, ("customer",)), ME)
    assert await house.resources.get(uri) == added


async def test_what_is_there_is_not_added_again(house: Any) -> None:
    with pytest.raises(AlreadyExistsError, match=r'there is a tool "crm\.read"'):
        await house.tools.add(READ, ME)


async def test_a_tool_acts_on_what_is_in_the_catalogue(house: Any) -> None:
    with pytest.raises(NotFoundError, match='no resource "https://none"'):
        await house.tools.add(replace(READ, name="x", resource="https://none"), ME)
    with pytest.raises(NotFoundError):
        await house.tools.update(replace(READ, resource="https://none"), ["resource"], ME)


async def test_an_update_takes_over_the_named_fields_alone_and_is_written_down(house: Any) -> None:
    given = replace(READ, risk=Risk.HIGH, exports=True)
    assert await house.tools.update(given, ["risk"], ME) == replace(READ, risk=Risk.HIGH)
    event = (await house.events())[-1]
    assert (event.subject, event.details) == ("crm.read", {"change": "updated", "kind": "tool", "fields": ["risk"]})
    with pytest.raises(InvalidArgumentError, match="never changed"):
        await house.tools.update(given, ["name"], ME)
    with pytest.raises(NotFoundError):
        await house.tools.update(replace(given, name="none"), ["risk"], ME)


async def test_a_resource_with_tools_stays(house: Any) -> None:
    with pytest.raises(FailedPreconditionError, match=r'needed by tool "crm\.read", tool "crm\.refund"'):
        await house.resources.remove(CRM, ME)
    for name in ("crm.read", "crm.refund"):
        await house.tools.remove(name, ME)
    await house.resources.remove(CRM, ME)
    with pytest.raises(NotFoundError):
        await house.resources.get(CRM)


async def test_a_tool_that_a_principal_or_a_live_task_names_stays(house: Any) -> None:
    await house.activate()
    await house.work()
    with pytest.raises(FailedPreconditionError, match='needed by principal "bot", task tsk_bot'):
        await house.tools.remove("crm.read", ME)
    await house.principals.update(replace(house.whole, tools=("crm.refund",)), ("tools",), ME)
    with pytest.raises(FailedPreconditionError, match="needed by task tsk_bot"):
        await house.tools.remove("crm.read", ME)
    await house.move("bot", Move.RETIRE)
    assert await house.tools.remove("crm.read", ME) == READ
    await house.tools.remove("crm.refund", ME)  # a retired principal names it, and needs it no more


async def test_a_refusal_names_the_first_few(house: Any) -> None:
    for number in range(7):
        await house.register(f"bot-{number}")
    with pytest.raises(FailedPreconditionError, match='"bot-4" and 2 more'):
        await house.tools.remove("crm.read", ME)


async def test_a_grant_that_is_held_stays_and_never_turns(house: Any) -> None:
    """Requirements 45 and 46, at a change of the grant."""
    await house.register(grants=("batch",))
    await house.register("ann", actor_type=ActorType.HUMAN, tools=(), grants=("root",))
    for name in ("batch", "root"):
        with pytest.raises(FailedPreconditionError, match="is needed by principal"):
            await house.grants.remove(name, ME)
    for turned, field in (
        (Grant("batch", Holder.HUMAN), "holder"),
        (Grant("batch", Holder.MACHINE, administers=True), "administers"),
        (Grant("root", Holder.MACHINE), "holder"),
    ):
        with pytest.raises(FailedPreconditionError, match="holds it"):
            await house.grants.update(turned, [field], ME)
    await house.principals.update(house.whole, ("grants",), ME)
    assert (await house.grants.update(Grant("batch", Holder.HUMAN), ["holder"], ME)).holder is Holder.HUMAN


async def test_listing_by_what_is_said(house: Any) -> None:
    await house.resources.add(Resource("https://b", "sandbox", "beta", Sensitivity.PUBLIC), ME)

    async def found(service: Any, *terms: tuple[str, str]) -> int:
        return len((await service.find(terms, Page()))[0])

    assert await found(house.resources) == 2
    assert await found(house.resources, ("tenant", "beta"), ("env", "sandbox")) == 1
    assert await found(house.resources, ("tenant", "beta"), ("env", "prod")) == 0
    assert await found(house.tools, ("resource", CRM)) == 2
    assert await found(house.grants, ("holder", "human")) == 1
