"""Task tokens on gRPC calls, with asyncio and without: what reaches a handler, what ends a call, what is reported."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from assay.authorize import any_id
from assay.errors import InvalidArgumentError, UnauthenticatedError
from assay.rpcauth import REASON, dial, serve_tls, taskblocking
from assay.rpcauth.task import TaskTokenInterceptor, current_task
from assay.svid.dpop import DpopKey
from assay.tasktoken import TaskTokenVerifier
from assay.tasktoken.report import Outcome, Report
from assay.testing import InMemoryTrustDomain

SERVICE = "crm.Tickets"
CRM = "https://crm.example"
AGENT = "/principal/bot/i7f3"
READ, LIST, FAIL, OTHER, HEALTH = (f"/{SERVICE}/{name}" for name in ("Read", "List", "Fail", "Other", "Health"))
ACTIONS = {READ: "crm.read", LIST: "crm.list", FAIL: "crm.read", f"/{SERVICE}/Absent": "crm.read"}
Context = Any
Metadata = list[tuple[str, str]]


class Reports:
    def __init__(self) -> None:
        self.all: list[Report] = []

    def report(self, report: Report, /) -> None:
        self.all.append(report)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def key() -> DpopKey:
    return DpopKey.create()


@pytest.fixture
def verifier(domain: InMemoryTrustDomain) -> TaskTokenVerifier:
    return TaskTokenVerifier(domain, domain.issuer, CRM, domain.status)


def proven(domain: InMemoryTrustDomain, key: DpopKey, token: str, method: str) -> Metadata:
    proof = key.prove("POST", CRM + method, domain.clock.now(), access_token=token)
    return [("authorization", f"DPoP {token}"), ("dpop", proof)]


# With asyncio


async def read(_request: bytes, _context: Context) -> bytes:
    return current_task().token.action.encode()


async def listed(_request: bytes, _context: Context) -> AsyncIterator[bytes]:
    for _ in range(2):
        yield current_task().token.action.encode()


async def failing(request: bytes, context: Context) -> bytes:
    if request == b"deny":
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not that one")
    raise RuntimeError("no database")


def handlers() -> dict[str, Any]:
    return {
        "Read": grpc.unary_unary_rpc_method_handler(read),
        "List": grpc.unary_stream_rpc_method_handler(listed),
        "Fail": grpc.unary_unary_rpc_method_handler(failing),
        "Other": grpc.unary_unary_rpc_method_handler(read),
        "Health": grpc.unary_unary_rpc_method_handler(health),
    }


async def health(request: bytes, _context: Context) -> bytes:
    return request


@pytest.fixture
async def target(verifier: TaskTokenVerifier, reports: Reports) -> AsyncIterator[str]:
    interceptor = TaskTokenInterceptor(verifier, ACTIONS, url=CRM, reporter=reports, public=[HEALTH])
    server = grpc.aio.server(interceptors=[interceptor])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers()),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def ask(target: str, method: str, metadata: Metadata, request: bytes = b"x") -> bytes:
    async with grpc.aio.insecure_channel(target) as channel:
        on: Any = channel
        sent = grpc.aio.Metadata(*metadata)
        if method == LIST:
            return b" ".join([one async for one in on.unary_stream(method)(request, metadata=sent, timeout=30)])
        answer: bytes = await on.unary_unary(method)(request, metadata=sent, timeout=30)
        return answer


async def refused(target: str, method: str, metadata: Metadata) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(target, method, metadata)
    return caught.value.code(), dict(caught.value.trailing_metadata() or ()).get(REASON, "")


async def test_calls_that_the_token_allows_reach_their_handlers_and_are_reported(
    target: str, domain: InMemoryTrustDomain, key: DpopKey, reports: Reports
) -> None:
    token = domain.task_token(AGENT, CRM, ["crm.read", "crm.list"], key=key, task_id="tsk_1")
    assert await ask(target, READ, proven(domain, key, token, READ)) == b"crm.read"
    assert await ask(target, LIST, proven(domain, key, token, LIST)) == b"crm.list crm.list"
    said = [(one.action, one.task_id, one.outcome) for one in reports.all]
    assert said == [("crm.read", "tsk_1", Outcome.ALLOWED), ("crm.list", "tsk_1", Outcome.ALLOWED)]


async def test_other_calls_end_with_the_reason(target: str, domain: InMemoryTrustDomain, key: DpopKey) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    thief = DpopKey.create()
    denied, unknown = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
    assert await refused(target, READ, []) == (unknown, "no_credential")
    assert await refused(target, READ, [("authorization", f"Bearer {token}")]) == (unknown, "no_proof")
    assert await refused(target, READ, [("authorization", f"DPoP {token}")]) == (unknown, "no_proof")
    assert await refused(target, READ, proven(domain, key, token, LIST)) == (unknown, "bad_proof")
    assert await refused(target, READ, proven(domain, thief, token, READ)) == (unknown, "wrong_key")
    assert await refused(target, LIST, proven(domain, key, token, LIST)) == (denied, "action_not_allowed")
    assert await refused(target, OTHER, proven(domain, key, token, OTHER)) == (denied, "action_not_allowed")
    absent = f"/{SERVICE}/Absent"
    assert await refused(target, absent, proven(domain, key, token, absent)) == (grpc.StatusCode.UNIMPLEMENTED, "")
    domain.status.revoke(token)
    assert await refused(target, READ, proven(domain, key, token, READ)) == (unknown, "revoked")


async def test_when_status_cannot_be_learnt_the_call_is_unavailable(
    target: str, domain: InMemoryTrustDomain, key: DpopKey
) -> None:
    domain.status.silence()
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    code = grpc.StatusCode.UNAVAILABLE
    assert await refused(target, READ, proven(domain, key, token, READ)) == (code, "status_unknown")


async def test_how_a_handler_fails_is_reported(
    target: str, domain: InMemoryTrustDomain, key: DpopKey, reports: Reports
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    for request in (b"deny", b"break"):
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(target, FAIL, proven(domain, key, token, FAIL), request)
    said = [(one.outcome, one.reason) for one in reports.all]
    assert said == [(Outcome.REFUSED, "PERMISSION_DENIED"), (Outcome.FAILED, "RuntimeError")]


async def test_public_methods_need_no_token(target: str) -> None:
    assert await ask(target, HEALTH, []) == b"x"


async def test_the_certificate_of_a_connection_is_proof(
    domain: InMemoryTrustDomain, verifier: TaskTokenVerifier
) -> None:
    interceptor = TaskTokenInterceptor(verifier, ACTIONS)
    server = grpc.aio.server(interceptors=[interceptor])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers()),))
    svid, other = domain.x509_svid(AGENT), domain.x509_svid(AGENT)
    token = domain.task_token(AGENT, CRM, "crm.read", key=svid)
    sent = grpc.aio.Metadata(("authorization", f"Bearer {token}"))
    async with serve_tls(server, domain.source("/crm"), any_id(), interceptor=interceptor) as port:
        async with dial("127.0.0.1", port, domain.source(svid), any_id()) as channel:
            on: Any = channel
            assert await on.unary_unary(READ)(b"x", metadata=sent, timeout=30) == b"crm.read"
        async with dial("127.0.0.1", port, domain.source(other), any_id()) as channel:
            on = channel
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await on.unary_unary(READ)(b"x", metadata=sent, timeout=30)
    assert dict(caught.value.trailing_metadata() or ())[REASON] == "wrong_key"


def test_there_is_no_task_outside_of_a_call(verifier: TaskTokenVerifier) -> None:
    with pytest.raises(UnauthenticatedError):
        current_task()
    for actions in ({"Read": "crm.read"}, {READ: ""}):
        with pytest.raises(InvalidArgumentError):
            TaskTokenInterceptor(verifier, actions)


# Without asyncio


def read_now(_request: bytes, _context: Context) -> bytes:
    return current_task().token.action.encode()


def list_now(_request: bytes, _context: Context) -> Iterator[bytes]:
    for _ in range(2):
        yield current_task().token.action.encode()


def fail_now(_request: bytes, _context: Context) -> bytes:
    raise RuntimeError("no database")


@contextmanager
def serving(interceptor: taskblocking.TaskTokenInterceptor) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1), interceptors=[interceptor])
    found: dict[str, Any] = {
        "Read": grpc.unary_unary_rpc_method_handler(read_now),
        "List": grpc.unary_stream_rpc_method_handler(list_now),
        "Fail": grpc.unary_unary_rpc_method_handler(fail_now),
        "Other": grpc.unary_unary_rpc_method_handler(read_now),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, found),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def ask_now(target: str, method: str, metadata: Metadata) -> bytes:
    with grpc.insecure_channel(target) as channel:
        on: Any = channel
        if method == LIST:
            return b" ".join(on.unary_stream(method)(b"x", metadata=metadata, timeout=30))
        answer: bytes = on.unary_unary(method)(b"x", metadata=metadata, timeout=30)
        return answer


def test_without_asyncio_it_is_the_same(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, key: DpopKey, reports: Reports
) -> None:
    interceptor = taskblocking.TaskTokenInterceptor(verifier, ACTIONS, url=CRM, reporter=reports)
    token = domain.task_token(AGENT, CRM, ["crm.read", "crm.list"], key=key)
    with serving(interceptor) as target:
        assert ask_now(target, READ, proven(domain, key, token, READ)) == b"crm.read"
        assert ask_now(target, LIST, proven(domain, key, token, LIST)) == b"crm.list crm.list"
        for method, metadata, reason in (
            (READ, [], "no_credential"),
            (READ, [("authorization", f"Bearer {token}")], "no_proof"),
            (READ, proven(domain, DpopKey.create(), token, READ), "wrong_key"),
            (OTHER, proven(domain, key, token, OTHER), "action_not_allowed"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                ask_now(target, method, metadata)
            error: Any = caught.value
            assert dict(error.trailing_metadata())[REASON] == reason
        with pytest.raises(grpc.RpcError):
            ask_now(target, FAIL, proven(domain, key, token, FAIL))
    said = [(one.outcome, one.reason) for one in reports.all]
    assert said[:2] == [(Outcome.ALLOWED, "")] * 2
    assert said[-1] == (Outcome.FAILED, "RuntimeError")
    assert {reason for outcome, reason in said if outcome is Outcome.REFUSED} == {
        "no_proof",
        "wrong_key",
        "action_not_allowed",
    }


async def test_calls_at_once_have_their_own_tasks(target: str, domain: InMemoryTrustDomain, key: DpopKey) -> None:
    async def one(number: int) -> bool:
        action = "crm.read" if number % 2 else "crm.list"
        method = READ if number % 2 else LIST
        token = domain.task_token(AGENT, CRM, action, key=key)
        return action.encode() in await ask(target, method, proven(domain, key, token, method))

    assert all(await asyncio.gather(*map(one, range(10))))
