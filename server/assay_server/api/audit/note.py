"""What a handler has to say for the trail that none of its messages does."""

from contextvars import ContextVar

from assay_server.audit.record import Value

_notes: ContextVar[dict[str, Value] | None] = ContextVar("audit_notes", default=None)


def take_notes() -> None:
    """Keep what is noted from now on, in this call."""
    _notes.set({})


def note(**fields: Value) -> None:
    """Say more about the call; without a trail it is forgotten."""
    notes = _notes.get()
    if notes is not None:
        notes.update(fields)


def noted() -> dict[str, Value]:
    """What was noted in this call."""
    return _notes.get() or {}
