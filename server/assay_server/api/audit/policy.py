"""What RPCs about policies say for the trail."""

from typing import Any

from assay_server.audit.record import Fields


def versioned(_: Any, response: Any) -> Fields:  # noqa: ANN401 - messages
    """The version that became live, and what is in it."""
    if response is None:
        return {}
    return {"policy_version": response.bundle.version, "policy_digest": response.bundle.digest}


def rolled_back(request: Any, response: Any) -> Fields:  # noqa: ANN401 - messages
    """The version that was asked for."""
    return versioned(request, response) or {"policy_version": request.version}


def explained(request: Any, _: Any) -> Fields:  # noqa: ANN401 - messages
    """The decision that somebody looked at."""
    return {"decision_id": request.decision_id}
