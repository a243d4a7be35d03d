"""Whether a call may be made, as policy enforcement points ask it (AuthZEN Authorization API 1.0).

A refusal is an answer with `decision` false, also where there is no such token for whoever asks.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from assay.asgi.middleware import tls_chain
from assay.errors import AssayError, Kind
from assay.governed.digest import digest
from assay.svid.refusal import RefusedError
from assay_server.governance.calling import Call, CallService
from assay_server.model.governed.decision import Decision
from assay_server.oauth.client import ClientAuthentication
from assay_server.oauth.errors import OAuthError, invalid_client, invalid_request
from assay_server.oauth.form import MAX_BYTES

EVALUATION = "/access/v1/evaluation"
CONFIGURATION = "/.well-known/authzen-configuration"

_SECRET = {"Cache-Control": "no-store"}
_PUBLIC = {"Cache-Control": "public, max-age=60"}
_REQUEST_ID = "x-request-id"
_MAX_ID = 128


class _Part(BaseModel):
    """What it says that is not known here might be what it depends on, and is refused."""

    model_config = ConfigDict(extra="forbid")


class _Subject(_Part):
    """The instance that calls, by its SPIFFE ID."""

    type: Literal["spiffe_id"]
    id: str


class _Action(_Part):
    name: str


class _Resource(_Part):
    """By its URI."""

    type: Literal["resource"]
    id: str


class _Context(_Part):
    """The token that the call is made with or the subject's own task, and what names the call."""

    jti: str = ""
    task: str = ""
    parameters: dict[str, Any] | None = None
    parameters_digest: str = ""
    call_id: str = ""
    key_proved: bool = False


class _Question(_Part):
    subject: _Subject
    action: _Action
    resource: _Resource
    context: _Context = Field(default_factory=_Context)

    def call(self) -> Call:
        said = self.context
        try:
            named = said.parameters_digest if said.parameters is None else digest(said.parameters)
        except ValueError:
            raise invalid_request("context.parameters cannot be said in JSON everywhere alike") from None
        return Call(
            action=self.action.name,
            jti=said.jti,
            task_id=said.task,
            resource=self.resource.id,
            parameters_digest=named,
            call_id=said.call_id,
            proved=said.key_proved,
            instance=self.subject.id,
        )


class Evaluation:
    """The pages; who asks is known by its X.509-SVID alone. `issuer` is our own name, a URL."""

    def __init__(self, issuer: str, calls: CallService, clients: ClientAuthentication) -> None:
        self._issuer = issuer
        self._calls = calls
        self._clients = clients

    def routes(self, issuer_path: str) -> list[Route]:
        """For the application; `issuer_path` is the path of the issuer's URL."""
        return [
            Route(f"{issuer_path}{EVALUATION}", self.evaluate, methods=["POST"]),
            Route(f"{CONFIGURATION}{issuer_path}", self.described),
        ]

    async def evaluate(self, request: Request) -> Response:
        """The Access Evaluation API."""
        headers = dict(_SECRET)
        named = request.headers.get(_REQUEST_ID, "")
        if named.isascii() and named.isprintable() and 0 < len(named) <= _MAX_ID:
            headers[_REQUEST_ID] = named
        try:
            return JSONResponse(await self._answer(request), headers=headers)
        except OAuthError as error:
            return JSONResponse(error.body(), error.status.value, headers)
        except AssayError as error:
            status, code = _STATUS.get(error.kind, (HTTPStatus.BAD_REQUEST, "invalid_request"))
            return JSONResponse({"error": code, "error_description": error.message}, status.value, headers)

    async def described(self, _: Request) -> Response:
        """PDP metadata."""
        document = {
            "policy_decision_point": self._issuer,
            "access_evaluation_endpoint": f"{self._issuer}{EVALUATION}",
        }
        return JSONResponse(document, headers=_PUBLIC)

    async def _answer(self, request: Request) -> dict[str, Any]:
        client = self._clients.by_certificate(_chain(request))
        question = await _question(request)
        asker = await self._calls.asker(client.spiffe_id)
        try:
            return _told(await self._calls.decide(question.call(), asker))
        except AssayError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            return {"decision": False, "context": {"reason": error.message}}


_STATUS: Mapping[Kind, tuple[HTTPStatus, str]] = {
    Kind.UNAVAILABLE: (HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable"),
    Kind.ALREADY_EXISTS: (HTTPStatus.CONFLICT, "invalid_request"),
}


def _chain(request: Request) -> tuple[bytes, ...]:
    try:
        return tls_chain(request.scope)
    except RefusedError as error:
        raise invalid_client("the client certificate is malformed") from error


async def _question(request: Request) -> _Question:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise invalid_request("the request has to be application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise OAuthError("invalid_request", "the request is too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        return _Question.model_validate(json.loads(body), strict=True)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        raise invalid_request(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    except (ValueError, RecursionError):
        raise invalid_request("the request is no JSON") from None


def _told(decision: Decision) -> dict[str, Any]:
    """What goes with an answer is in its context, obligations as the profile for them has them."""
    obligations = [
        {"id": name, "type": "custom", "properties": {"value": value}} for name, value in decision.obligations.items()
    ]
    context = {
        "evaluation_id": decision.decision_id,
        "effect": decision.effect.value,
        "reason": decision.reason,
        "advice": decision.advice,
        "policy_version": decision.policy_version,
        "valid_until": decision.at + decision.ttl if decision.allowed else 0,
        **({"obligations": obligations} if obligations else {}),
    }
    return {"decision": decision.allowed, "context": context}
