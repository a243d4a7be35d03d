"""What calls that register governed identities are about: whom or what they name, and what of it they change."""

from typing import Any

from assay_server.audit.record import Fields

_PARTS = ("principal", "resource", "tool", "grant")


def named(request: Any, _response: Any) -> Fields:  # noqa: ANN401 - messages of many types, here and below
    """By its name, or its URI."""
    return {"name": getattr(request, "name", "") or getattr(request, "uri", "")}


def changed(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """By its name, with the reason that was given."""
    return {"name": request.name, **({"reason": request.reason} if request.reason else {})}


def updated(request: Any, response: Any) -> Fields:  # noqa: ANN401
    """By its name, with the fields that were to be changed."""
    part = next(getattr(request, name) for name in _PARTS if hasattr(request, name))
    return {**named(part, response), "fields": ",".join(request.fields)}


def bound(request: Any, response: Any) -> Fields:  # noqa: ANN401
    """The principal, and the entry that is, or was, its binding."""
    entry_id = getattr(request, "entry_id", "") or (response.entry_id if response is not None else "")
    return {"principal": request.principal, **({"entry_id": entry_id} if entry_id else {})}
