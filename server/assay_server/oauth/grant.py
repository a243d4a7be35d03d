"""What a client asks the token endpoint for, as its form says: token exchange (RFC 8693) or client credentials."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from assay_server.oauth.errors import OAuthError, invalid_request
from assay_server.oauth.form import Form, needed, only

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
CLIENT_CREDENTIALS = "client_credentials"
ACCESS_TOKEN, JWT = (f"urn:ietf:params:oauth:token-type:{kind}" for kind in ("access_token", "jwt"))


class Detail(BaseModel):
    """One of `authorization_details` (RFC 9396 section 2); what else it says is not understood, and so refused."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["mission_resource_access"]
    resource: str = ""
    locations: list[str] = Field(default_factory=list[str], max_length=1)
    actions: list[str] = Field(min_length=1)

    @property
    def target(self) -> str:
        """The resource."""
        return self.resource or "".join(self.locations)


@dataclass(frozen=True, slots=True)
class Grant:
    """One request for a token. `subject_token` is empty where the client asks for its own work's.

    Without a `mission` the task is the one active task of the client that covers the audience.
    """

    audience: str
    mission: str
    actions: tuple[str, ...]
    subject_token: str
    requested_ttl: int


def grant_of(form: Form) -> Grant:
    """What the form asks for.

    Raises:
        OAuthError: something is missing, unknown, or asked for twice.
    """
    kind = needed(form, "grant_type")
    if kind not in (EXCHANGE, CLIENT_CREDENTIALS):
        raise OAuthError("unsupported_grant_type", f"grant_type is {EXCHANGE} or {CLIENT_CREDENTIALS}")
    if only(form, "scope"):
        raise OAuthError("invalid_scope", "there are no scopes here: say it with authorization_details")
    audience, actions = _details(only(form, "authorization_details"), _audience(form))
    return Grant(
        audience=audience,
        mission=only(form, "mission"),
        actions=actions,
        subject_token=_subject_token(form) if kind == EXCHANGE else "",
        requested_ttl=_ttl(only(form, "requested_ttl")),
    )


def _subject_token(form: Form) -> str:
    token = needed(form, "subject_token")
    if needed(form, "subject_token_type") not in (ACCESS_TOKEN, JWT):
        raise invalid_request(f"subject_token_type is {ACCESS_TOKEN} or {JWT}")
    if only(form, "requested_token_type") not in ("", ACCESS_TOKEN, JWT):
        raise invalid_request(f"requested_token_type is {ACCESS_TOKEN} or {JWT}")
    if "actor_token" in form or "actor_token_type" in form:
        raise invalid_request("the actor is the client itself: actor_token is not taken")
    return token


def _audience(form: Form) -> str:
    named = {*form.get("audience", ()), *form.get("resource", ())} - {""}
    if len(named) > 1:
        raise OAuthError("invalid_target", "a token is for one audience")
    return named.pop() if named else ""


def _details(text: str, audience: str) -> tuple[str, tuple[str, ...]]:
    """Audience and actions by `authorization_details`, if that is there."""
    details = _parsed(text) if text else []
    targets = {audience, *(detail.target for detail in details)} - {""}
    if len(targets) != 1:
        raise OAuthError("invalid_target", "name the one resource that the token is for")
    actions = [action for detail in details for action in detail.actions]
    return targets.pop(), tuple(dict.fromkeys(actions))


def _parsed(text: str) -> list[Detail]:
    try:
        return TypeAdapter(list[Detail]).validate_json(text, strict=True)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise OAuthError("invalid_authorization_details", f"authorization_details: {where}: {fault['msg']}") from None


def _ttl(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(2**31)):
        raise invalid_request("requested_ttl is a number of seconds")
    return int(text)
