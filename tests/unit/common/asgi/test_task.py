"""The middleware for task tokens: what reaches the tool, what callers are told otherwise, and what is reported."""

import json
import logging
import ssl
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from assay.asgi.task import TaskTokenMiddleware, task
from assay.errors import InvalidArgumentError, UnauthenticatedError
from assay.governed.digest import digest
from assay.svid import X509Svid
from assay.svid.dpop import DpopKey
from assay.tasktoken import TaskTokenVerifier
from assay.tasktoken.report import Outcome, Report, ReportKind
from assay.testing import FakeClock, InMemoryTrustDomain, WrongTaskToken

HOST = "https://crm.example"
CRM = f"{HOST}/mcp"
AGENT = "/principal/bot/i7f3"
ACTIONS = {"GET /mcp/tickets": "crm.read", "/mcp/tickets/{id}": "crm.close"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]


class Reports:
    def __init__(self) -> None:
        self.all: list[Report] = []

    def report(self, report: Report, /) -> None:
        self.all.append(report)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def domain(clock: FakeClock) -> InMemoryTrustDomain:
    return InMemoryTrustDomain(clock=clock)


@pytest.fixture
def key() -> DpopKey:
    return DpopKey.create()


@pytest.fixture
def reports() -> Reports:
    return Reports()


async def tickets(request: Request) -> PlainTextResponse:
    call = request.state.task
    call.parameters = dict(request.query_params)
    call.data_access("customer", "ticket/7")
    return PlainTextResponse(f"{call.token.action} for {call.token.task_id}")


async def broken(_: Request) -> PlainTextResponse:
    raise RuntimeError("no database")


Make = Callable[..., TaskTokenMiddleware]


@pytest.fixture
def make(domain: InMemoryTrustDomain, reports: Reports, clock: FakeClock) -> Make:
    def made(**options: Any) -> TaskTokenMiddleware:  # noqa: ANN401 - the middleware's
        app = Starlette(routes=[
            Route("/mcp/tickets", tickets, methods=["GET", "POST"]),
            Route("/mcp/tickets/{id}", broken),
            Route("/healthz", lambda _: PlainTextResponse("fine")),
        ])  # fmt: skip
        verifier = TaskTokenVerifier(domain, domain.issuer, CRM, domain.status, clock=clock)
        usual: dict[str, Any] = {
            "url": HOST,
            "actions": ACTIONS,
            "reporter": reports,
            "public": ["/healthz"],
            "clock": clock,
        }
        return TaskTokenMiddleware(app, verifier, **(usual | options))

    return made


def scope_of(headers: Headers, *, path: str = "/mcp/tickets", method: str = "GET", **more: object) -> dict[str, Any]:
    return {
        "type": "http", "path": path, "raw_path": path.encode(), "method": method, "query_string": b"page=2",
        "headers": headers, "server": ("x", 1), "scheme": "https", "http_version": "1.1", **more,
    }  # fmt: skip


def proven(key: DpopKey, token: str, now: Any, path: str = "/mcp/tickets", method: str = "GET") -> Headers:  # noqa: ANN401 - a moment
    proof = key.prove(method, HOST + path, now, access_token=token)
    return [(b"authorization", f"DPoP {token}".encode()), (b"dpop", proof.encode())]


def certified(svid: X509Svid) -> dict[str, Any]:
    return {"extensions": {"tls": {"client_cert_chain": [ssl.DER_cert_to_PEM_cert(one) for one in svid.chain]}}}


async def answer(app: TaskTokenMiddleware, scope: dict[str, Any]) -> tuple[int, list[bytes], Any]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    await app(scope, receive, send)
    start, *rest = messages
    body = b"".join(one.get("body", b"") for one in rest)
    challenges = [value for name, value in start["headers"] if name == b"www-authenticate"]
    said = json.loads(body) if body.startswith(b"{") else body.decode()
    return start["status"], challenges, said


async def test_an_allowed_call_reaches_the_tool_and_is_reported(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock, reports: Reports
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key, task_id="tsk_1")
    headers = [*proven(key, token, clock.now()), (b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())]
    assert await answer(make(), scope_of(headers)) == (200, [], "crm.read for tsk_1")
    access, use = reports.all
    assert (access.kind, access.data_class, access.resource) == (ReportKind.DATA_ACCESS, "customer", "ticket/7")
    assert (use.kind, use.outcome, use.action, use.task_id) == (
        ReportKind.TOOL_USE,
        Outcome.ALLOWED,
        "crm.read",
        "tsk_1",
    )
    assert (use.spiffe_id, use.audience, use.trace_id) == (str(domain.id(AGENT)), CRM, TRACE)
    assert use.parameters_digest == digest({"page": "2"})
    assert use.at == int(clock.now().timestamp())


async def test_a_connections_certificate_does_as_well(make: Make, domain: InMemoryTrustDomain) -> None:
    svid = domain.x509_svid(AGENT)
    token = domain.task_token(AGENT, CRM, "crm.read", key=svid)
    headers = [(b"authorization", f"Bearer {token}".encode())]
    assert (await answer(make(), scope_of(headers, **certified(svid))))[0] == 200
    assert (await answer(make(), scope_of(headers)))[2]["reason"] == "not_bound"
    other = certified(domain.x509_svid(AGENT))
    assert (await answer(make(), scope_of(headers, **other)))[2]["reason"] == "wrong_key"


ALGORITHMS = b'algs="ES256 ES384 ES512 PS256 PS384 PS512 RS256 RS384 RS512"'


async def test_what_brings_nothing_is_told_what_is_taken(make: Make, reports: Reports) -> None:
    """RFC 6750 section 3.1: no error code for a request without credentials."""
    status, challenges, body = await answer(make(), scope_of([]))
    assert (status, challenges) == (401, [b"Bearer", b"DPoP " + ALGORITHMS])
    assert body == {"error": "unauthorized", "reason": "no_credential"}
    assert reports.all == []


@pytest.mark.parametrize("wrong", WrongTaskToken)
async def test_wrong_tokens_are_refused_and_nobody_is_told_of_them(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock, reports: Reports, wrong: WrongTaskToken
) -> None:
    token = domain.wrong_task_token(wrong, AGENT, CRM, "crm.read", key=key)
    status, challenges, body = await answer(make(), scope_of(proven(key, token, clock.now())))
    assert (status, body["reason"]) == (401, wrong.reason.value)
    assert challenges == [b'Bearer error="invalid_token"', b'DPoP error="invalid_token", ' + ALGORITHMS]
    assert reports.all == []


async def test_a_proof_for_another_request_is_refused(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock
) -> None:
    """RFC 9449 sections 4.3 and 7.1; the host that the request names has no say."""
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    for headers in (
        proven(key, token, clock.now(), path="/mcp/other"),
        proven(key, token, clock.now(), method="POST"),
        [(b"authorization", f"DPoP {token}".encode())],
        [*proven(key, token, clock.now()), proven(key, token, clock.now())[1]],
        [*proven(key, f"{token}x", clock.now())[1:], (b"authorization", f"DPoP {token}".encode())],
    ):
        status, challenges, body = await answer(make(), scope_of([*headers, (b"host", b"evil.example")]))
        assert (status, body["error"]) == (401, "invalid_dpop_proof")
        assert challenges == [b'DPoP error="invalid_dpop_proof", ' + ALGORITHMS]


async def test_a_dpop_token_is_not_taken_as_a_bearer_token(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock
) -> None:
    """RFC 9449 section 7.2: no downgrade."""
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    headers = [(b"authorization", f"Bearer {token}".encode()), proven(key, token, clock.now())[1]]
    assert (await answer(make(), scope_of(headers)))[0] == 401


@pytest.mark.parametrize("values", [["Basic x"], ["Bearer a", "Bearer b"], ["Bearer \xe4"], ["DPoP"], ["Bearer"]])
async def test_an_authorization_that_is_none_is_refused(make: Make, values: list[str]) -> None:
    headers = [(b"authorization", value.encode("latin-1")) for value in values]
    assert (await answer(make(), scope_of(headers)))[0] == 401


async def test_an_action_that_the_token_is_not_for_is_forbidden_and_reported(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock, reports: Reports
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.list", key=key)
    status, challenges, body = await answer(make(), scope_of(proven(key, token, clock.now())))
    assert (status, body) == (403, {"error": "insufficient_scope", "reason": "action_not_allowed"})
    assert challenges[0] == b'Bearer error="insufficient_scope"'
    (report,) = reports.all
    assert (report.outcome, report.reason, report.action) == (Outcome.REFUSED, "action_not_allowed", "crm.read")


async def test_a_request_that_is_no_action_is_forbidden(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock
) -> None:
    """Fail closed: an unknown method is denied, whatever the token allows."""
    token = domain.task_token(AGENT, CRM, ["crm.read", "crm.close"], key=key)
    for method, path in (
        ("POST", "/mcp/tickets"),
        ("GET", "/mcp/tickets/"),
        ("GET", "/mcp/tickets/7/notes"),
        ("GET", "/"),
    ):
        headers = proven(key, token, clock.now(), path, method)
        status, _, body = await answer(make(), scope_of(headers, path=path, method=method))
        assert (status, body["reason"]) == (403, "action_not_allowed")


async def test_a_tool_that_fails_is_reported_as_failed(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock, reports: Reports
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.close", key=key)
    headers = proven(key, token, clock.now(), "/mcp/tickets/7")
    with pytest.raises(RuntimeError):
        await answer(make(), scope_of(headers, path="/mcp/tickets/7"))
    assert [(one.outcome, one.reason) for one in reports.all] == [(Outcome.FAILED, "RuntimeError")]


async def test_what_has_ended_is_refused_and_reported(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock, reports: Reports
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    domain.status.revoke(token)
    status, _, body = await answer(make(), scope_of(proven(key, token, clock.now())))
    assert (status, body) == (401, {"error": "invalid_token", "reason": "revoked"})
    assert [one.reason for one in reports.all] == ["revoked"]


async def test_when_status_cannot_be_learnt_the_service_is_unavailable(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock
) -> None:
    """The client's token may be good: it is not told to fetch another."""
    domain.status.silence()
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    status, challenges, body = await answer(make(), scope_of(proven(key, token, clock.now())))
    assert (status, challenges, body["reason"]) == (503, [], "status_unknown")


async def test_degraded_calls_say_how_old_the_knowledge_was(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock, reports: Reports
) -> None:
    domain.status.staleness = {"consequential_read": 60}
    app = make()
    token = domain.task_token(AGENT, CRM, "crm.read", key=key, classes={"crm.read": "consequential_read"})
    await answer(app, scope_of(proven(key, token, clock.now())))
    domain.status.silence()
    clock.advance(30)
    assert (await answer(app, scope_of(proven(key, token, clock.now()))))[0] == 200
    assert [one.staleness for one in reports.all if one.kind is ReportKind.TOOL_USE] == [0, 30]


async def test_constraints_have_to_be_understood(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key, constraints={"max_rows": 5})
    assert (await answer(make(), scope_of(proven(key, token, clock.now()))))[2]["reason"] == "unknown_constraint"
    understood = make(understands=["max_rows"])
    assert (await answer(understood, scope_of(proven(key, token, clock.now()))))[0] == 200


async def test_public_paths_have_no_task(make: Make) -> None:
    assert (await answer(make(), scope_of([], path="/healthz"))) == (200, [], "fine")
    with pytest.raises(UnauthenticatedError):
        task({"state": {}})


async def test_nobody_can_bring_a_call_along(domain: InMemoryTrustDomain) -> None:
    reached: list[Mapping[str, Any]] = []

    async def app(scope: MutableMapping[str, Any], _receive: object, send: Any) -> None:  # noqa: ANN401 - ASGI's
        reached.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})

    verifier = TaskTokenVerifier(domain, domain.issuer, CRM, domain.status, clock=domain.clock)
    guarded = TaskTokenMiddleware(app, verifier, public=["/healthz"])
    await answer(guarded, scope_of([], path="/healthz", state={"task": "forged", "other": 1}))
    assert reached[0]["state"] == {"other": 1}


async def test_a_websocket_is_closed_before_it_opens(make: Make) -> None:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is received of who is refused")

    await make()({"type": "websocket", "path": "/mcp/tickets", "headers": []}, receive, send)
    assert messages == [{"type": "websocket.close", "code": 1008, "reason": "no_credential"}]


async def test_tokens_are_in_no_log(
    make: Make, domain: InMemoryTrustDomain, key: DpopKey, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = domain.task_token(AGENT, CRM, "crm.list", key=key)
    headers = proven(key, token, clock.now())
    await answer(make(), scope_of(headers))
    assert "crm.read" in caplog.text
    assert token not in caplog.text
    assert headers[1][1].decode() not in caplog.text


def test_a_route_without_an_action_is_a_mistake(make: Make) -> None:
    for actions in ({"tickets": "crm.read"}, {"/tickets": ""}):
        with pytest.raises(InvalidArgumentError):
            make(actions=actions)
