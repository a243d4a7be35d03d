"""Task tokens for tests: right ones, and wrong ones by name."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA384

from assay.crypto import certificate
from assay.governed import claims as names
from assay.governed.authority import Access, authority_of, details
from assay.governed.digest import authority_hash
from assay.spiffeid import SpiffeId
from assay.svid import X509Svid
from assay.svid.dpop import DpopKey
from assay.svid.refusal import Reason
from assay.testing.authority import HOUR
from assay.testing.issuer import Issuer, stranger
from assay.testing.jwtkey import JwtKey, encoded

TTL = 300
HEADER: Mapping[str, object] = {"typ": "at+jwt"}


class WrongTaskToken(Enum):
    """What is wrong with a task token that is right otherwise.

    Attributes:
        reason: what `assay.tasktoken` answers.
        words: what is wrong, in words.
    """

    EXPIRED = (Reason.EXPIRED, "its end was an hour ago")
    NO_EXPIRY = (Reason.NOT_A_TASK_TOKEN, "it has no exp")
    NOT_YET_VALID = (Reason.NOT_YET_VALID, "it was issued in an hour")
    WRONG_AUDIENCE = (Reason.WRONG_AUDIENCE, "it is for another resource")
    TWO_AUDIENCES = (Reason.NOT_A_TASK_TOKEN, "it is for two resources, this one among them")
    NO_AUDIENCE = (Reason.NO_AUDIENCE, "it has no aud")
    WRONG_ISSUER = (Reason.WRONG_ISSUER, "its iss is another issuer's URL")
    WRONG_TYPE = (Reason.NOT_A_TASK_TOKEN, "its typ is JWT, as that of a JWT-SVID is")
    WRONG_PROFILE = (Reason.NOT_A_TASK_TOKEN, "its profile is one of a later version")
    UNKNOWN_CLAIM = (Reason.NOT_A_TASK_TOKEN, "it has a claim that its profile does not have")
    NO_MISSION = (Reason.NOT_A_TASK_TOKEN, "an agent's, it has no task")
    NO_KEY = (Reason.NOT_A_TASK_TOKEN, "an agent's, it is bound to no key")
    NO_INSTANCE = (Reason.NOT_A_TASK_TOKEN, "an agent's, it does not name the instance")
    OTHER_INSTANCE = (Reason.NOT_A_TASK_TOKEN, "its agent_instance_id is another than its client_id")
    OTHER_SUBJECT = (Reason.NOT_A_TASK_TOKEN, "its sub is somebody else, and there is no act")
    FOREIGN_INSTANCE = (Reason.NOT_A_TASK_TOKEN, "its instance is of another trust domain")
    FOREIGN_TASK = (Reason.NOT_A_TASK_TOKEN, "its task is another issuer's")
    NO_AUTHORITY = (Reason.NOT_A_TASK_TOKEN, "it has no authorization_details")
    NO_JTI = (Reason.NOT_A_TASK_TOKEN, "it has no jti")
    UNSIGNED = (Reason.UNSUPPORTED_ALGORITHM, "its alg is none, and it has no signature")
    WRONG_ALGORITHM = (Reason.BAD_SIGNATURE, "its alg is ES384, and the authority's key is one for ES256")
    WRONG_SIGNATURE = (Reason.BAD_SIGNATURE, "another key signed it under the authority's kid")
    UNKNOWN_KEY = (Reason.UNKNOWN_KEY, "an impostor signed it under a kid that is not in the bundle")
    NO_KEY_ID = (Reason.UNKNOWN_KEY, "it names no key")
    TAMPERED = (Reason.BAD_SIGNATURE, "its actions were changed after it was signed")
    CRITICAL = (Reason.NOT_A_TASK_TOKEN, "its crit names an extension that nobody knows")
    MALFORMED = (Reason.MALFORMED, "it is no token at all")

    def __init__(self, reason: Reason, words: str) -> None:
        self.reason = reason
        self.words = words


@dataclass(frozen=True, slots=True)
class TaskTokenRequest:
    """What a token is to say; see `InMemoryTrustDomain.task_token`."""

    spiffe_id: SpiffeId
    audience: str
    actions: Sequence[str]
    key: X509Svid | DpopKey | None
    issuer: str
    task_id: str = ""
    profile: str = "ai_agent"
    constraints: Mapping[str, Any] | None = None
    classes: Mapping[str, str] | None = None
    ttl: int = TTL

    def payload(self, now: datetime) -> dict[str, Any]:
        """The claims, in the profile of docs/task-tokens.md."""
        access = Access(self.audience, tuple(self.actions), dict(self.constraints or {}))
        granted, issued = details((access,)), int(now.timestamp())
        task_id = self.task_id or f"tsk_{secrets.token_hex(13)}"
        said: dict[str, Any] = {
            names.PROFILE_CLAIM: names.PROFILE,
            "iss": self.issuer,
            "sub": str(self.spiffe_id),
            names.ACTOR_TYPE: self.profile,
            "aud": self.audience,
            names.CLIENT_ID: str(self.spiffe_id),
            names.INSTANCE: str(self.spiffe_id),
            names.MISSION: {
                names.MISSION_ID: task_id,
                names.MISSION_ISSUER: self.issuer,
                names.MISSION_AUTHORITY: authority_hash(self.issuer, authority_of(granted)),
            },
            names.TRANSACTION: task_id,
            names.TENANT: "acme",
            names.ENVIRONMENT: "test",
            names.DECISION: f"dec_{secrets.token_hex(13)}",
            names.DETAILS: granted,
            names.ACTION_CLASSES: dict(self.classes or {}),
            "iat": issued,
            "exp": issued + self.ttl,
            "jti": f"crd_{secrets.token_hex(13)}",
        }
        return said if self.key is None else {**said, names.CONFIRMATION: _confirmation(self.key)}


def _confirmation(key: X509Svid | DpopKey) -> dict[str, str]:
    if isinstance(key, DpopKey):
        return {names.KEY_THUMBPRINT: key.thumbprint}
    return {names.CERTIFICATE_THUMBPRINT: certificate.thumbprint(key.chain[0])}


def task_token(issuer: Issuer, request: TaskTokenRequest, now: datetime, changes: Mapping[str, object]) -> str:
    """The token; `changes` go over its claims, and None leaves one out."""
    whole = {**request.payload(now), **changes}
    return issuer.jwt_key.token({name: value for name, value in whole.items() if value is not None}, HEADER)


@dataclass(frozen=True, slots=True)
class _Right:
    issuer: Issuer
    request: TaskTokenRequest
    now: datetime

    def saying(self, key: JwtKey | None = None, header: Mapping[str, object] = HEADER, **claims: object) -> str:
        whole = {**self.request.payload(self.now), **claims}
        said = {name: value for name, value in whole.items() if value is not None}
        return (key or self.issuer.jwt_key).token(said, {**HEADER, **header})

    def signed(self, sign: Callable[[str], bytes], **members: object) -> str:
        header = self.issuer.jwt_key.header({**HEADER, **members})
        text = f"{encoded(header)}.{encoded(self.request.payload(self.now))}"
        return f"{text}.{encoded(sign(text))}"

    def at(self, seconds: int) -> int:
        return int(self.now.timestamp()) + seconds


def _tampered(right: _Right) -> str:
    header, _, signature = right.saying().split(".")
    more = replace(right.request, actions=(*right.request.actions, "everything"))
    return f"{header}.{encoded(more.payload(right.now))}.{signature}"


def _foreign_task(right: _Right) -> str:
    mission = right.request.payload(right.now)[names.MISSION]
    return right.saying(mission={**mission, names.MISSION_ISSUER: "https://stranger.example"})


def _foreign_instance(right: _Right) -> str:
    name = str(SpiffeId(stranger(right.now).trust_domain, right.request.spiffe_id.path))
    return right.saying(client_id=name, agent_instance_id=name, sub=name)


_MAKERS: Mapping[WrongTaskToken, Callable[[_Right], str]] = {
    WrongTaskToken.EXPIRED: lambda right: right.saying(iat=right.at(-2 * HOUR), exp=right.at(-HOUR)),
    WrongTaskToken.NO_EXPIRY: lambda right: right.saying(exp=None),
    WrongTaskToken.NOT_YET_VALID: lambda right: right.saying(iat=right.at(HOUR), exp=right.at(2 * HOUR)),
    WrongTaskToken.WRONG_AUDIENCE: lambda right: right.saying(aud="https://elsewhere.example"),
    WrongTaskToken.TWO_AUDIENCES: lambda right: right.saying(aud=[right.request.audience, "https://elsewhere.example"]),
    WrongTaskToken.NO_AUDIENCE: lambda right: right.saying(aud=None),
    WrongTaskToken.WRONG_ISSUER: lambda right: right.saying(iss="https://stranger.example"),
    WrongTaskToken.WRONG_TYPE: lambda right: right.saying(header={"typ": "JWT"}),
    WrongTaskToken.WRONG_PROFILE: lambda right: right.saying(profile="assay-task-2"),
    WrongTaskToken.UNKNOWN_CLAIM: lambda right: right.saying(except_when="never"),
    WrongTaskToken.NO_MISSION: lambda right: right.saying(mission=None),
    WrongTaskToken.NO_KEY: lambda right: right.saying(cnf=None),
    WrongTaskToken.NO_INSTANCE: lambda right: right.saying(agent_instance_id=None),
    WrongTaskToken.OTHER_INSTANCE: lambda right: right.saying(agent_instance_id=f"{right.request.spiffe_id}/other"),
    WrongTaskToken.OTHER_SUBJECT: lambda right: right.saying(sub="alice@corp.example", sub_profile="user"),
    WrongTaskToken.FOREIGN_INSTANCE: _foreign_instance,
    WrongTaskToken.FOREIGN_TASK: _foreign_task,
    WrongTaskToken.NO_AUTHORITY: lambda right: right.saying(authorization_details=None),
    WrongTaskToken.NO_JTI: lambda right: right.saying(jti=None),
    WrongTaskToken.UNSIGNED: lambda right: right.signed(lambda _: b"", alg="none"),
    WrongTaskToken.WRONG_ALGORITHM: lambda right: right.signed(
        lambda text: right.issuer.jwt_key.signature(text, SHA384()), alg="ES384"
    ),
    WrongTaskToken.WRONG_SIGNATURE: lambda right: right.saying(JwtKey.create(right.issuer.jwt_key.key_id)),
    WrongTaskToken.UNKNOWN_KEY: lambda right: right.saying(JwtKey.create()),
    WrongTaskToken.NO_KEY_ID: lambda right: right.saying(header={"kid": None}),
    WrongTaskToken.TAMPERED: _tampered,
    WrongTaskToken.CRITICAL: lambda right: right.saying(header={"crit": ["unheard-of"], "unheard-of": True}),
    WrongTaskToken.MALFORMED: lambda _: "not-a-token",
}


def wrong_task_token(wrong: WrongTaskToken, issuer: Issuer, request: TaskTokenRequest, now: datetime) -> str:
    """A token with that fault."""
    return _MAKERS[wrong](_Right(issuer, request, now))
