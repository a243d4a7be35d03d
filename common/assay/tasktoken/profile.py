"""From the claims of a token to its value, by the profile `assay-task-1`: docs/task-token.schema.json in code.

Everything that the profile does not know is refused, so that no verifier passes over what a later version may mean by
it; so is what contradicts itself, such as an actor that is not the instance.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from assay.errors import InvalidArgumentError
from assay.governed import claims as names
from assay.governed.authority import Authority, authority_of
from assay.spiffeid import SpiffeId, TrustDomain
from assay.standing import Index
from assay.svid.compact import MAX_DATE
from assay.svid.refusal import Reason, SvidRefusedError
from assay.tasktoken.token import Binding, Confirmation, TaskToken

KNOWN = frozenset(
    {
        *("iss", "sub", "aud", "iat", "exp", "jti", names.PROFILE_CLAIM, names.ACTOR, names.ACTOR_TYPE),
        *(names.CLIENT_ID, names.INSTANCE, names.MODEL, names.MISSION, names.DETAILS, names.CONFIRMATION),
        *(names.TRANSACTION, names.TENANT, names.ENVIRONMENT, names.DECISION, names.STATUS, names.ACTION_CLASSES),
    }
)
"""The claims that there are."""

AGENT = "ai_agent"
_SUBJECTS = frozenset({"user", "service", "device", AGENT})
_ACTORS = _SUBJECTS - {"user"}
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_HASH = re.compile(r"sha-256:[A-Za-z0-9_-]{43}")
_TASK, _DECISION = "tsk_", "dec_"
_MAX_INDEX = 2**31
_MAX_TEXT = 2048


def token_of(payload: Mapping[str, Any], issuer: str, trust_domain: TrustDomain) -> TaskToken:
    """What the claims say, of a token whose signature holds.

    Raises:
        SvidRefusedError: they are not those of a task token of this issuer's.
    """
    _check_profile(payload, issuer)
    instance = _instance(payload, trust_domain)
    subject, subject_profile = _text(payload, "sub"), _one_of(payload, names.ACTOR_TYPE, _SUBJECTS)
    actor_profile = _actor(payload, instance, subject, subject_profile, trust_domain)
    mission = _mission(payload, issuer)
    confirmation = _confirmation(payload)
    if AGENT in {subject_profile, actor_profile} and (
        not mission or confirmation is None or names.INSTANCE not in payload
    ):
        raise forged(f"a token of an {AGENT} has {names.MISSION}, {names.CONFIRMATION} and {names.INSTANCE}")
    return TaskToken(
        jti=_text(payload, "jti"),
        task_id=mission.get(names.MISSION_ID, ""),
        task_origin=mission.get(names.MISSION_ISSUER, ""),
        authority_hash=mission.get(names.MISSION_AUTHORITY, ""),
        instance=instance,
        subject=subject,
        subject_profile=subject_profile,
        actor_profile=actor_profile,
        model=_model(payload),
        issuer=issuer,
        audience=_audience(payload),
        authority=_authority(payload),
        tenant=_optional(payload, names.TENANT),
        environment=_optional(payload, names.ENVIRONMENT),
        decision_id=_decision(payload),
        issued_at=_date(payload, "iat"),
        expires_at=_date(payload, "exp"),
        action_classes=_classes(payload),
        confirmation=confirmation,
        index=_index(payload),
        claims=MappingProxyType(payload),
    )


def forged(why: str) -> SvidRefusedError:
    """What is refused that is not what it says it is."""
    return SvidRefusedError(Reason.NOT_A_TASK_TOKEN, f"not a task token: {why}")


def _check_profile(payload: Mapping[str, Any], issuer: str) -> None:
    if payload.get(names.PROFILE_CLAIM) != names.PROFILE:
        raise forged(f"its profile is not {names.PROFILE}")
    if payload.get("iss") != issuer:
        raise SvidRefusedError(Reason.WRONG_ISSUER, f"token is not of {issuer}")
    if unknown := payload.keys() - KNOWN:
        raise forged(f"{names.PROFILE} has no claim {min(unknown)[:80]!r}")
    _optional(payload, names.TRANSACTION)


def _instance(payload: Mapping[str, Any], trust_domain: TrustDomain) -> SpiffeId:
    named = _text(payload, names.CLIENT_ID)
    try:
        instance = SpiffeId.parse(named)
    except InvalidArgumentError as error:
        raise forged(f"{names.CLIENT_ID}: {error.message}") from None
    if not instance.path or not instance.member_of(trust_domain):
        raise forged(f"{names.CLIENT_ID} is no workload of {trust_domain}")
    if payload.get(names.INSTANCE, named) != named:
        raise forged(f"{names.INSTANCE} is not {names.CLIENT_ID}")
    return instance


def _actor(
    payload: Mapping[str, Any], instance: SpiffeId, subject: str, profile: str, trust_domain: TrustDomain
) -> str:
    """The profile of who acts."""
    if names.ACTOR not in payload:
        if subject != str(instance) or profile == "user":
            raise forged(f"{names.CLIENT_ID} acts for somebody else, and there is no {names.ACTOR}")
        return profile
    actor = _object(payload, names.ACTOR, {"iss", "sub", names.ACTOR_TYPE})
    if actor.get("iss") != str(trust_domain.id) or actor.get("sub") != str(instance):
        raise forged(f"{names.ACTOR} is not {names.CLIENT_ID}")
    return _one_of(actor, names.ACTOR_TYPE, _ACTORS)


def _mission(payload: Mapping[str, Any], issuer: str) -> Mapping[str, str]:
    if names.MISSION not in payload:
        return {}
    mission = _object(payload, names.MISSION, {names.MISSION_ID, names.MISSION_ISSUER, names.MISSION_AUTHORITY})
    if not _text(mission, names.MISSION_ID).startswith(_TASK):
        raise forged(f"{names.MISSION} has no {names.MISSION_ID}")
    # A task is what its own issuer says it is, and nobody else.
    if mission.get(names.MISSION_ISSUER) != issuer:
        raise forged(f"{names.MISSION} is another issuer's")
    if not _HASH.fullmatch(_text(mission, names.MISSION_AUTHORITY)):
        raise forged(f"{names.MISSION} has no {names.MISSION_AUTHORITY}")
    return cast("Mapping[str, str]", mission)


def _confirmation(payload: Mapping[str, Any]) -> Confirmation | None:
    if names.CONFIRMATION not in payload:
        return None
    found = _object(payload, names.CONFIRMATION, {one.value for one in Binding})
    if len(found) != 1:
        raise forged(f"{names.CONFIRMATION} names not one key")
    ((name, thumbprint),) = found.items()
    if not isinstance(thumbprint, str) or not _THUMBPRINT.fullmatch(thumbprint):
        raise forged(f"{names.CONFIRMATION} has no thumbprint")
    return Confirmation(Binding(name), thumbprint)


def _audience(payload: Mapping[str, Any]) -> str:
    if payload.get("aud") in (None, ""):
        raise SvidRefusedError(Reason.NO_AUDIENCE, "token missing audience claim")
    # One for two would let either send it on to the other.
    if not isinstance(payload["aud"], str):
        raise forged("aud is not one text")
    return _text(payload, "aud")


def _authority(payload: Mapping[str, Any]) -> Authority:
    try:
        return authority_of(payload.get(names.DETAILS))
    except InvalidArgumentError as error:
        raise forged(error.message) from None


def _decision(payload: Mapping[str, Any]) -> str:
    decision = _optional(payload, names.DECISION)
    if decision and not decision.startswith(_DECISION):
        raise forged(f"{names.DECISION} is none")
    return decision


def _model(payload: Mapping[str, Any]) -> str:
    return _text(_object(payload, names.MODEL, {"id"}), "id") if names.MODEL in payload else ""


def _classes(payload: Mapping[str, Any]) -> Mapping[str, str]:
    found = payload.get(names.ACTION_CLASSES, {})
    if not isinstance(found, dict):
        raise forged(f"{names.ACTION_CLASSES} is no object")
    classes = cast("dict[str, object]", found)
    if not all(isinstance(one, str) for one in classes.values()):
        raise forged(f"{names.ACTION_CLASSES} has what is no class")
    return MappingProxyType(cast("dict[str, str]", classes))


def _index(payload: Mapping[str, Any]) -> Index | None:
    """Draft-ietf-oauth-status-list, section 6.2; mechanisms beside lists are not known here."""
    if names.STATUS not in payload:
        return None
    place = _object(_object(payload, names.STATUS, {"status_list"}), "status_list", {"idx", "uri"})
    number = place.get("idx")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _MAX_INDEX:
        raise forged(f"{names.STATUS} has no index")
    return Index(_text(place, "uri"), number)


def _date(payload: Mapping[str, Any], name: str) -> int:
    value = payload.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_DATE:
        raise forged(f"{name} is no date in seconds")
    return value


def _object(payload: Mapping[str, Any], name: str, members: set[str]) -> Mapping[str, Any]:
    found = payload.get(name)
    if not isinstance(found, dict) or not cast("dict[str, Any]", found).keys() <= members:
        raise forged(f"{name} is not an object of {', '.join(sorted(members))}")
    return cast("dict[str, Any]", found)


def _one_of(payload: Mapping[str, Any], name: str, allowed: frozenset[str]) -> str:
    value = _text(payload, name)
    if value not in allowed:
        raise forged(f"{name} is none of {', '.join(sorted(allowed))}")
    return value


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        raise forged(f"{name} is missing, or no text")
    return value


def _optional(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name, "")
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise forged(f"{name} is no text")
    return value
