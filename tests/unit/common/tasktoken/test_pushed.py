"""Status and reports over a real socket: what a verifier does while its agent tells, goes away, and comes back."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from assay.backoff import Backoff
from assay.rpc.client import Channel
from assay.rpc.status import EndError, StatusCode
from assay.svid.dpop import DpopKey
from assay.svid.refusal import Reason, RefusedError
from assay.tasktoken import DpopProof, TaskTokenVerifier, blocking
from assay.tasktoken.report import Outcome, Report, ReportBuffer, ReportKind
from assay.tasktoken.status import WATCH, PushedStatus
from assay.testing import InMemoryTrustDomain, WorkloadApiServer
from assay.testing.wait import until
from assay.workloadapi.address import Endpoint
from assay.workloadapi.errors import ForkedError, SourceClosedError, SourceNotReadyError
from assay_proto.status.v1 import status_pb2 as pb

CRM = "https://crm.example/mcp"
AGENT = "/principal/bot/i7f3"
SOON = Backoff(first=0.02, limit=0.1)


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    """By the machine's clock, since the socket is by it."""
    return InMemoryTrustDomain()


@pytest.fixture
def api(domain: InMemoryTrustDomain) -> Iterator[WorkloadApiServer]:
    with WorkloadApiServer(domain) as server:
        yield server


@pytest.fixture
async def status(api: WorkloadApiServer) -> AsyncIterator[PushedStatus]:
    async with PushedStatus(api.address, backoff=SOON) as opened:
        yield opened


@pytest.fixture
def verifier(domain: InMemoryTrustDomain, status: PushedStatus) -> TaskTokenVerifier:
    return TaskTokenVerifier(domain, domain.issuer, CRM, status)


def reason(verifier: TaskTokenVerifier, token: str, key: DpopKey, domain: InMemoryTrustDomain) -> Reason | None:
    proof = key.prove("POST", CRM, domain.clock.now(), access_token=token)
    try:
        verifier.verify(token, DpopProof(proof, "POST", CRM), "crm.read")
    except RefusedError as refusal:
        return refusal.reason
    return None


def used(number: int) -> Report:
    return Report(ReportKind.TOOL_USE, number, f"crd_{number}", "tsk_1", "spiffe://example.org/x", CRM, "crm.read")


async def test_a_revocation_reaches_the_verifier_and_is_confirmed_once_it_is_obeyed(
    domain: InMemoryTrustDomain, verifier: TaskTokenVerifier, key: DpopKey
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    assert reason(verifier, token, key, domain) is None
    domain.status.revoke(token)
    await until(lambda: domain.status.held == domain.status.position)
    assert reason(verifier, token, key, domain) is Reason.REVOKED


async def test_a_verifier_that_was_away_through_a_revocation_refuses_once_it_is_back(
    domain: InMemoryTrustDomain, api: WorkloadApiServer, status: PushedStatus, verifier: TaskTokenVerifier, key: DpopKey
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    other = domain.task_token(AGENT, CRM, "crm.read", key=key)
    domain.status.staleness = {}
    await asyncio.to_thread(api.stop)
    await until(lambda: status.error is not None)
    domain.status.revoke(token)
    await asyncio.to_thread(api.start)
    await until(lambda: status.error is None)
    assert reason(verifier, token, key, domain) is Reason.REVOKED
    assert reason(verifier, other, key, domain) is None


async def test_it_goes_on_from_what_it_holds(
    domain: InMemoryTrustDomain, api: WorkloadApiServer, status: PushedStatus
) -> None:
    domain.status.withdraw(domain.id("/gone"))
    await until(lambda: domain.status.held == domain.status.position)
    await asyncio.to_thread(api.stop)
    await until(lambda: status.error is not None)
    del domain.status.starts[:]
    await asyncio.to_thread(api.start)
    await until(lambda: bool(domain.status.starts))
    assert domain.status.starts[0] == pb.Start(position=domain.status.position, incarnation=domain.status.incarnation)


async def test_another_store_is_taken_whole(
    domain: InMemoryTrustDomain, api: WorkloadApiServer, status: PushedStatus, verifier: TaskTokenVerifier, key: DpopKey
) -> None:
    domain.status.withdraw(domain.id("/gone"))
    await until(lambda: domain.status.held == domain.status.position)
    await asyncio.to_thread(api.stop)
    await until(lambda: status.error is not None)
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    domain.status.revoke(token)
    domain.status.incarnation, domain.status.position = "restored", 1
    await asyncio.to_thread(api.start)
    await until(lambda: status.error is None)
    assert reason(verifier, token, key, domain) is Reason.REVOKED


async def test_opening_says_when_there_is_no_agent_or_it_has_no_word(api: WorkloadApiServer) -> None:
    api.trust_domain.status.silence()
    with pytest.raises(SourceNotReadyError):
        await PushedStatus(api.address, within=0.2, backoff=SOON).open()
    await asyncio.to_thread(api.stop)
    with pytest.raises(SourceNotReadyError) as caught:
        await PushedStatus(api.address, within=0.2, backoff=SOON).open()
    assert "cannot connect" in caught.value.hint


async def test_it_is_opened_once(api: WorkloadApiServer) -> None:
    status = PushedStatus(api.address)
    await status.open()
    with pytest.raises(SourceClosedError):
        await status.open()
    await status.close()
    await status.close()


async def test_a_stream_without_the_security_header_is_told_nothing(api: WorkloadApiServer) -> None:
    """Workload Endpoint, section 3."""
    channel = Channel(Endpoint.parse(api.address).connect, max_message=1 << 20)
    reply = await channel.begin(WATCH)
    reply.send(pb.VerifierMessage(start=pb.Start()).SerializeToString(), last=False)
    with pytest.raises(EndError) as caught:
        await reply.read()
    assert caught.value.code is StatusCode.INVALID_ARGUMENT
    await channel.close()


# Reports


async def test_reports_are_taken_in_order_and_forgotten(domain: InMemoryTrustDomain, api: WorkloadApiServer) -> None:
    reports = ReportBuffer()
    async with PushedStatus(api.address, reports=reports, backoff=SOON) as status:
        for number in range(250):
            status.report(used(number))
        await until(lambda: reports.kept == 0)
    assert [number for number, _ in domain.status.reports] == list(range(1, 251))
    assert [one.at for _, one in domain.status.reports] == list(range(250))


async def test_reports_that_nobody_took_are_sent_again_when_the_agent_is_back(
    domain: InMemoryTrustDomain, api: WorkloadApiServer
) -> None:
    reports = ReportBuffer()
    async with PushedStatus(api.address, reports=reports, backoff=SOON) as status:
        domain.status.taking = False
        status.report(used(1))
        await until(lambda: reports.in_flight == 1)
        await asyncio.to_thread(api.stop)
        await until(lambda: status.error is not None)
        domain.status.taking = True
        await asyncio.to_thread(api.start)
        await until(lambda: reports.kept == 0)
    assert [(number, one.at) for number, one in domain.status.reports] == [(1, 1)]


async def test_of_too_many_reports_the_oldest_go_and_the_gap_is_told(
    domain: InMemoryTrustDomain, api: WorkloadApiServer
) -> None:
    reports = ReportBuffer(limit=3)
    async with PushedStatus(api.address, reports=reports, backoff=SOON) as status:
        domain.status.taking = False
        status.report(used(1))
        await until(lambda: reports.in_flight == 1)
        await asyncio.to_thread(api.stop)
        await until(lambda: status.error is not None)
        for number in range(2, 6):
            status.report(used(number))
        domain.status.taking = True
        await asyncio.to_thread(api.start)
        await until(lambda: reports.kept == 0)
    # The oldest two had to go, and their numbers say so.
    assert [(number, one.at) for number, one in domain.status.reports] == [(3, 3), (4, 4), (5, 5)]


async def test_closing_has_reports_taken(domain: InMemoryTrustDomain, api: WorkloadApiServer) -> None:
    async with PushedStatus(api.address, backoff=SOON) as status:
        status.report(used(1))
    assert [one.jti for _, one in domain.status.reports] == ["crd_1"]


async def test_a_report_says_what_it_is_of(domain: InMemoryTrustDomain, api: WorkloadApiServer) -> None:
    report = Report(
        ReportKind.DATA_ACCESS, 7, "crd_1", "tsk_1", "spiffe://example.org/x", CRM, "crm.read", "ticket/7",
        Outcome.FAILED, "gone", "sha-256:x", "personal", "dec_1", 12, "a" * 32,
    )  # fmt: skip
    async with PushedStatus(api.address, backoff=SOON) as status:
        status.report(report)
    ((_, told),) = domain.status.reports
    expected: dict[str, Any] = {
        "kind": "data.access", "at": 7, "jti": "crd_1", "task_id": "tsk_1", "spiffe_id": "spiffe://example.org/x",
        "audience": CRM, "action": "crm.read", "resource": "ticket/7", "outcome": "failed", "reason": "gone",
        "parameters_digest": "sha-256:x", "data_class": "personal", "decision_id": "dec_1", "staleness": 12,
        "trace_id": "a" * 32,
    }  # fmt: skip
    assert {field.name: value for field, value in told.ListFields()} == expected


# Without an event loop


def test_without_an_event_loop_it_is_the_same(
    domain: InMemoryTrustDomain, api: WorkloadApiServer, key: DpopKey
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    with blocking.PushedStatus(api.address) as status:
        verifier = TaskTokenVerifier(domain, domain.issuer, CRM, status)
        assert reason(verifier, token, key, domain) is None
        domain.status.revoke(token)
        while domain.status.held != domain.status.position:
            time.sleep(0.001)
        assert reason(verifier, token, key, domain) is Reason.REVOKED
        status.report(used(1))
        assert (status.error, status.age < 5) == (None, True)
    assert [one.jti for _, one in domain.status.reports] == ["crd_1"]


def test_a_forked_child_knows_nothing(domain: InMemoryTrustDomain, api: WorkloadApiServer, key: DpopKey) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    with blocking.PushedStatus(api.address) as status:
        verifier = TaskTokenVerifier(domain, domain.issuer, CRM, status)
        # As in a child: a process with another ID.
        status._background._process += 1
        assert reason(verifier, token, key, domain) is Reason.STATUS_UNKNOWN
        with pytest.raises(ForkedError):
            status.report(used(1))
        status.close()
        status._background._process = os.getpid()
        assert reason(verifier, token, key, domain) is None
