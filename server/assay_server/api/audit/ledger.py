"""What RPCs about the ledger say for the trail."""

from typing import Any

from assay_server.audit.record import Fields


def filtered(request: Any, _: Any) -> Fields:  # noqa: ANN401 - messages
    """Whose records somebody looked at."""
    asked = request.filter
    named = {"task_id": asked.task_id, "principal": asked.principal, "since": asked.since}
    return {name: value for name, value in named.items() if value}


def pruned(request: Any, response: Any) -> Fields:  # noqa: ANN401 - messages
    """What was to go, and what went."""
    gone = {} if response is None else {"through": response.through, "records": response.records}
    return {"before": request.before, **gone}
