"""Entries that name instances over a real socket: each process has an SVID of its own, as long as both last."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from assay.crypto.keys import to_pkix
from assay.errors import PermissionDeniedError, UnavailableError
from assay.transport.peer import start_time
from assay_agent.cache import Update

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent

    from assay.entry import Entry
    from assay.workloadapi import WorkloadApiClient

BOUND = {"principal": "bot", "instance_from": "unix:process"}


def bind(agent: LocalAgent, entry_id: str = "bots", path: str = "/principal/bot", **fields: str) -> Entry:
    entry = agent.entry(entry_id, path, **{**BOUND, **fields})
    agent.cache.apply(Update(entries=[entry]))
    return entry


def mine(agent: LocalAgent) -> str:
    """This process's ID as the tests' server forms it."""
    (value,) = {value for _, (value, *_) in agent.minter.asked if value.count(":") == 2}
    assert value.endswith(f":{os.getpid()}:{start_time(os.getpid())}")
    return agent.minter.instance_path("bots", value)


async def test_a_process_gets_its_instances_svid(agent: LocalAgent, client: WorkloadApiClient) -> None:
    bind(agent)
    context = await client.fetch_x509()
    assert [one.svid.spiffe_id.path for one in context.svids] == [mine(agent)]


async def test_beside_it_it_has_what_all_have_in_the_order_of_entries(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    agent.register("a", "/first")
    bind(agent)
    agent.register("c", "/last")
    context = await client.fetch_x509()
    assert [one.svid.spiffe_id.path for one in context.svids] == ["/first", mine(agent), "/last"]


async def test_it_is_asked_for_once_however_often_the_process_fetches(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    bind(agent)
    await asyncio.gather(*(client.fetch_x509() for _ in range(5)))
    await client.fetch_x509()
    assert len(agent.minter.asked) == 1


async def test_a_binding_that_is_withdrawn_takes_the_svid_from_the_open_stream(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    bind(agent)
    agent.register("a", "/other")
    async with aclosing(client.watch_x509()) as updates:
        assert len((await anext(updates)).svids) == 2
        agent.remove("bots")
        assert [one.svid.spiffe_id.path for one in (await anext(updates)).svids] == ["/other"]
        bind(agent)
        assert len((await anext(updates)).svids) == 2


async def test_without_another_identity_the_stream_ends(agent: LocalAgent, client: WorkloadApiClient) -> None:
    bind(agent)
    async with aclosing(client.watch_x509()) as updates:
        await anext(updates)
        agent.remove("bots")
        with pytest.raises(PermissionDeniedError):
            async with asyncio.timeout(5):
                await client.fetch_x509()


async def test_what_the_server_refuses_is_no_identity(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.minter.refused["bots"] = PermissionDeniedError("principal is not active: suspended")
    bind(agent)
    with pytest.raises(PermissionDeniedError):
        await client.fetch_x509()
    agent.register("a", "/other")
    assert [one.svid.spiffe_id.path for one in (await client.fetch_x509()).svids] == ["/other"]


async def test_what_changes_while_it_is_signed_does_not_make_it_nobody(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    signing, go = asyncio.Event(), asyncio.Event()

    async def before() -> None:
        signing.set()
        await go.wait()

    agent.minter.before = before
    bind(agent)
    async with asyncio.TaskGroup() as group:
        fetching = group.create_task(client.fetch_x509())
        await signing.wait()
        agent.change_bundle()
        await asyncio.sleep(0.05)
        assert not fetching.done()
        go.set()
    assert [one.svid.spiffe_id.path for one in fetching.result().svids] == [mine(agent)]


async def test_a_server_that_does_not_answer_makes_it_unavailable(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.minter.failure = UnavailableError("gone")
    bind(agent)
    with pytest.raises(UnavailableError):
        await client.fetch_x509()


async def test_an_instance_that_no_attestor_tells_gets_nothing(agent: LocalAgent, client: WorkloadApiClient) -> None:
    bind(agent, instance_from="docker:container-id")
    with pytest.raises(PermissionDeniedError):
        await client.fetch_x509()
    assert not agent.minter.asked


async def test_other_selectors_get_nothing(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.cache.apply(Update(entries=[agent.entry("bots", "/principal/bot", "unix:uid:4000000000", **BOUND)]))
    with pytest.raises(PermissionDeniedError):
        await client.fetch_x509()
    assert not agent.minter.asked


async def test_a_token_is_the_instances_and_is_never_kept(agent: LocalAgent, client: WorkloadApiClient) -> None:
    bind(agent)
    await client.fetch_x509()
    for _ in range(2):
        (svid,) = await client.fetch_jwt(["https://crm"])
        assert svid.spiffe_id.path == mine(agent)
    assert agent.minter.asked[1:] == [("bots", ("https://crm",))] * 2


@pytest.mark.parametrize("instance_from", ["unix:process", ""])
async def test_a_token_that_stands_on_no_task_is_kept_for_its_instance(
    agent: LocalAgent, client: WorkloadApiClient, instance_from: str
) -> None:
    agent.minter.task_id = ""
    bind(agent, instance_from=instance_from)
    agent.rotate("bots")
    for _ in range(4):
        (svid,) = await client.fetch_jwt(["https://crm"])
        assert svid.spiffe_id.path.startswith("/principal/bot")
    # The first says that it stands on none.
    assert agent.minter.asked == [("bots", ("https://crm",))] * 2
    agent.minter.task_id = "tsk_1"
    await client.fetch_jwt(["https://other"])
    for _ in range(2):
        await client.fetch_jwt(["https://crm"])
    assert len(agent.minter.asked) == 5


async def test_a_tasks_token_is_not_handed_out_again_when_the_server_is_gone(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    bind(agent)
    await client.fetch_jwt(["https://crm"])
    agent.minter.failure = UnavailableError("gone")
    with pytest.raises(UnavailableError):
        await client.fetch_jwt(["https://crm"])


async def test_that_there_is_no_task_is_said_and_keeps_no_other_identity_back(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    bind(agent)
    agent.minter.refused["bots"] = PermissionDeniedError("no active task covers the audience: open a task for it")
    with pytest.raises(PermissionDeniedError, match="open a task"):
        await client.fetch_jwt(["https://crm"])
    agent.register("a", "/other")
    assert [one.spiffe_id.path for one in await client.fetch_jwt(["https://crm"])] == ["/other"]


async def test_a_token_for_its_own_id_and_for_nobody_elses(agent: LocalAgent, client: WorkloadApiClient) -> None:
    bind(agent)
    await client.fetch_x509()
    me = agent.authority.id(mine(agent))
    (svid,) = await client.fetch_jwt(["https://crm"], me)
    assert svid.spiffe_id == me
    with pytest.raises(PermissionDeniedError, match="no identity"):
        await client.fetch_jwt(["https://crm"], agent.authority.id("/principal/bot"))


async def test_bundles_are_for_instances_too(agent: LocalAgent, client: WorkloadApiClient) -> None:
    bind(agent)
    async with aclosing(client.watch_x509_bundles()) as updates:
        assert agent.authority.trust_domain in await anext(updates)
    assert not agent.minter.asked


async def test_a_wit_svid_is_the_instances_with_a_key_of_its_own_and_is_never_kept(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    agent.switch_wit_on()
    bind(agent)
    (one,), (other,) = await client.fetch_wit(), await client.fetch_wit()
    assert one.spiffe_id.path == other.spiffe_id.path == mine(agent)
    assert one.svid.token != other.svid.token
    assert one.svid.key is not None
    assert to_pkix(one.svid.key.public_key()) == one.svid.public_key != other.svid.public_key


async def test_a_wit_svid_of_a_principal_whose_copies_share_an_id_is_its_principals_too(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    agent.switch_wit_on()
    bind(agent, instance_from="")
    assert [one.spiffe_id.path for one in await client.fetch_wit()] == ["/principal/bot"]
    assert agent.minter.asked == [("bots", ("", "ES256"))]


async def test_without_a_task_there_is_no_wit_svid_which_keeps_no_other_back(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    agent.switch_wit_on()
    bind(agent)
    await client.fetch_x509()
    agent.minter.refused["bots"] = PermissionDeniedError("this instance has no active task: open a task for it")
    with pytest.raises(PermissionDeniedError, match="open a task"):
        await client.fetch_wit()
    agent.register("a", "/other")
    assert [one.spiffe_id.path for one in await client.fetch_wit()] == ["/other"]


async def test_a_wit_svid_for_its_own_id_and_for_nobody_elses(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.switch_wit_on()
    bind(agent)
    await client.fetch_x509()
    (svid,) = await client.fetch_wit(agent.authority.id(mine(agent)))
    assert svid.spiffe_id.path == mine(agent)
    with pytest.raises(PermissionDeniedError, match="no identity"):
        await client.fetch_wit(agent.authority.id("/principal/bot"))
