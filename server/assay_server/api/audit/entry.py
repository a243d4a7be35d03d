"""What calls of the Entry service are about."""

from collections.abc import Iterable
from typing import Any

from assay_server.api.audit.values import enum_name, selectors, spiffe_id
from assay_server.audit.record import Fields

_PLAIN = ("x509_svid_ttl", "jwt_svid_ttl", "admin", "downstream", "expires_at", "revision_number", "store_svid", "hint",
          "created_at")  # fmt: skip
_LISTS = (("federates_with", "federates_with"), ("dns_names", "dns_name"))


def filtered(request: Any, _response: Any) -> Fields:  # noqa: ANN401 - messages of many types, here and below
    """By what entries were looked for."""
    if not request.HasField("filter"):
        return {}
    where = request.filter
    fields: dict[str, str | int | bool] = {}
    if where.HasField("by_hint"):
        fields["hint"] = where.by_hint.value
    fields |= spiffe_id(where, "parent_id", "by_parent_id") | spiffe_id(where, "spiffe_id", "by_spiffe_id")
    if where.HasField("by_selectors"):
        fields["by_selector_match"] = enum_name(where.by_selectors, "match")
        fields["by_selectors"] = selectors(where.by_selectors.selectors)
    if where.HasField("by_federates_with"):
        fields["federates_with_match"] = enum_name(where.by_federates_with, "match")
        fields["federates_with"] = ",".join(where.by_federates_with.trust_domains)
    if where.HasField("by_downstream"):
        fields["downstream"] = where.by_downstream.value
    return fields


def named(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """The entry that was named."""
    return {"entry_id": request.id} if request.id else {}


def batch(request: Any, response: Any) -> Iterable[tuple[Fields, Any]]:  # noqa: ANN401
    """Each entry as it was sent, through the input mask if there is one."""
    masked = "input_mask" in request.DESCRIPTOR.fields_by_name and request.HasField("input_mask")
    mask = request.input_mask if masked else None
    for entry, result in zip(request.entries, response.results, strict=True):
        yield _entry(entry, mask, result), result.status


def deleted(_request: Any, response: Any) -> Iterable[tuple[Fields, Any]]:  # noqa: ANN401
    """The ID of each entry."""
    for result in response.results:
        yield {"entry_id": result.id}, result.status


def _entry(entry: Any, mask: Any, result: Any) -> Fields:  # noqa: ANN401
    def wanted(name: str) -> bool:
        return mask is None or getattr(mask, name)

    # SPIRE says only an ID that was sent; which entry was made is what an auditor wants to know.
    entry_id = entry.id or (result.entry.id if result.HasField("entry") else "")
    fields: dict[str, str | int | bool] = {"entry_id": entry_id} if entry_id else {}
    for name in ("spiffe_id", "parent_id"):
        if wanted(name):
            fields |= spiffe_id(entry, name, name)
    if wanted("selectors") and entry.selectors:
        fields["selectors"] = selectors(entry.selectors)
    fields |= {key: ",".join(getattr(entry, name)) for name, key in _LISTS if wanted(name) and getattr(entry, name)}
    return fields | {name: getattr(entry, name) for name in _PLAIN if wanted(name)}
