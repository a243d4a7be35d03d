"""What calls of the Agent service are about."""

from typing import Any

from assay_server.api.audit.values import digest, enum_name, selectors, spiffe_id
from assay_server.audit.record import Fields
from assay_server.authorization.caller import admitted_caller


def filtered(request: Any, _response: Any) -> Fields:  # noqa: ANN401 - messages of many types, here and below
    """By what agents were looked for."""
    if not request.HasField("filter"):
        return {}
    where = request.filter
    fields: dict[str, str | int | bool] = {}
    if where.by_attestation_type:
        fields["node_attestor_type"] = where.by_attestation_type
    for name in ("by_banned", "by_can_reattest"):
        if where.HasField(name):
            fields[name] = getattr(where, name).value
    if where.HasField("by_selector_match"):
        fields["by_selector_match"] = enum_name(where.by_selector_match, "match")
        fields["by_selectors"] = selectors(where.by_selector_match.selectors)
    return fields


def named(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """The agent that was named."""
    return spiffe_id(request, "spiffe_id", "id")


def attested(_request: Any, response: Any) -> Fields:  # noqa: ANN401
    """As whom; the handler notes by what."""
    return spiffe_id(response.result.svid if response is not None else None, "agent_id", "id")


def renewed(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """The request that was signed."""
    return {"csr": digest(request.params.csr)} if request.params.csr else {}


def posted(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """Who it is and what it runs."""
    caller = admitted_caller()
    who = {"spiffe_id": str(caller.spiffe_id)} if caller is not None and caller.spiffe_id is not None else {}
    return {**who, **({"agent_version": request.agent_version} if request.agent_version else {})}


def token_created(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """For how long and for whom; never the token."""
    ttl = {"ttl": request.ttl} if request.ttl > 0 else {}
    return {**ttl, **spiffe_id(request, "spiffe_id", "agent_id")}
