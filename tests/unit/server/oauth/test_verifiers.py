"""The library's verifiers against the endpoint: real tokens, its keys, its lists, its events."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from assay.bundle.jwks import parse_jwt
from assay.governed.digest import authority_hash
from assay.standing import StatusSource
from assay.svid.refusal import Reason, RefusedError
from assay.tasktoken import Certificate, TaskTokenVerifier
from assay.tasktoken.events import StatusEvents
from assay.tasktoken.lists import StatusListSource
from assay.tasktoken.report import DELAY, Report, ReportBuffer, ReportKind
from assay.testing.wait import until
from assay.verify import FixedBundles
from assay.workloadapi.errors import SourceNotReadyError
from assay_server.datastore.base import Transaction
from assay_server.governance.ending import end_tasks
from assay_server.model.governed.task import TASK

ME, PATH = "spiffe://example.org/principal/bot", "/principal/bot"
CRM = "https://crm/mcp"
TOOL = "/tool"
Endpoint = Any


async def end_task(endpoint: Endpoint) -> None:
    def end(tx: Transaction) -> None:
        task = tx.governed.get(TASK, "tsk_1")
        assert task is not None
        end_tasks(tx, [task], "operator", "local", endpoint.now)

    await endpoint.store.write(end)


class Caller:
    """The agent with its certificate and a token that the endpoint issued."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.svid = endpoint.authority.x509_svid(PATH, now=endpoint.clock.now())
        self.token = ""

    async def fetch(self, form: dict[str, str]) -> "Caller":
        svid = self.svid
        made = self.endpoint.authority.x509_svid
        self.endpoint.authority.x509_svid = lambda *_, **__: svid
        answer = await self.endpoint.post("/token", form, path=PATH)
        self.endpoint.authority.x509_svid = made
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["access_token"]
        return self

    async def verifier(self, status: Callable[[FixedBundles], StatusSource]) -> TaskTokenVerifier:
        async with self.endpoint.client() as client:
            keys = (await client.get("/jwks")).content
        bundles = FixedBundles(parse_jwt(self.endpoint.authority.trust_domain, keys))
        return TaskTokenVerifier(
            bundles, self.endpoint.issuer, CRM, status(bundles),
            trust_domain=self.endpoint.authority.trust_domain, clock=self.endpoint.clock,
        )  # fmt: skip

    def reason(self, verifier: TaskTokenVerifier, action: str = "crm.read") -> Reason | None:
        try:
            verifier.verify(self.token, Certificate(self.svid.chain[0]), action)
        except RefusedError as refusal:
            return refusal.reason
        return None


@pytest.fixture
async def caller(endpoint: Endpoint, form: dict[str, str]) -> Caller:
    task = await endpoint.store.read(lambda tx: tx.governed.get(TASK, "tsk_1"))
    # As a real one is, which verifiers look at.
    await endpoint.put((TASK, replace(task, authority_hash=authority_hash(endpoint.issuer, task.authority))))
    return await Caller(endpoint).fetch(form)


async def test_a_token_of_the_endpoint_is_taken_until_its_events_tell_of_its_end(
    endpoint: Endpoint, caller: Caller
) -> None:
    async with (
        endpoint.client(TOOL) as client,
        StatusEvents(client, issuer=endpoint.issuer, clock=endpoint.clock) as status,
    ):
        verifier = await caller.verifier(lambda _: status)
        assert caller.reason(verifier) is None
        assert caller.reason(verifier, "crm.refund") is Reason.ACTION_NOT_ALLOWED
        found = verifier.examine(caller.token)
        assert (found.class_of("crm.read"), str(found.instance), found.task_id) == ("consequential_read", ME, "tsk_1")
        await end_task(endpoint)
        position = endpoint.feed.position
        async with asyncio.TaskGroup() as tasks:
            confirming = tasks.create_task(endpoint.feed.confirmed(position, 30))
            await until(lambda: caller.reason(verifier) is Reason.REVOKED)
        assert (confirming.result().verifiers, confirming.result().confirmed) == (1, 1)


async def test_reports_go_over_https_as_well(endpoint: Endpoint) -> None:
    reports = ReportBuffer()
    async with (
        endpoint.client(TOOL) as client,
        StatusEvents(client, issuer=endpoint.issuer, clock=endpoint.clock, reports=reports) as status,
    ):
        for number in range(3):
            status.report(Report(ReportKind.TOOL_USE, endpoint.now, f"crd_{number}", "tsk_1", ME, CRM, "crm.read"))
        await endpoint.clock.wait_sleepers()
        while reports.kept:
            endpoint.clock.advance(DELAY)
            await asyncio.sleep(0.01)
    assert endpoint.reports.batches == [(reports.reporter, "spiffe://example.org/tool", 1, ["crd_0", "crd_1", "crd_2"])]


async def test_without_an_svid_nothing_is_told(endpoint: Endpoint) -> None:
    async with endpoint.client() as client:
        status = StatusEvents(client, issuer=endpoint.issuer, clock=endpoint.clock, within=None)
        opening = asyncio.ensure_future(status.open())  # noqa: TID251 - ended below
        await until(lambda: status.error is not None)
        assert "refuses this service" in str(status.error)
        opening.cancel()
        await asyncio.wait({opening})
        late = StatusEvents(client, issuer="https://localhost:1", clock=endpoint.clock, within=1)
        waiting = asyncio.ensure_future(late.open())  # noqa: TID251 - ended below
        await until(lambda: late.error is not None)
        endpoint.clock.advance(2)
        with pytest.raises(SourceNotReadyError):
            await waiting


async def test_the_endpoints_lists_do_as_well(endpoint: Endpoint, caller: Caller) -> None:
    async with endpoint.client() as client:
        sources: list[StatusListSource] = []

        def source(bundles: FixedBundles) -> StatusListSource:
            trust_domain = endpoint.authority.trust_domain
            sources.append(
                StatusListSource(
                    client, bundles, issuer=endpoint.issuer, trust_domain=trust_domain, clock=endpoint.clock
                )
            )
            return sources[0]

        verifier = await caller.verifier(source)
        assert caller.reason(verifier) is Reason.STATUS_UNKNOWN
        await sources[0].learn(verifier.examine(caller.token))
        assert caller.reason(verifier) is None
        await end_task(endpoint)
        endpoint.clock.advance(120)
        assert caller.reason(verifier) is Reason.STATUS_UNKNOWN
        await sources[0].learn(verifier.examine(caller.token))
        assert caller.reason(verifier) is Reason.REVOKED
