"""What is looked at of an agent to tell whether it is well; name and details are SPIRE's."""

from collections.abc import Awaitable, Callable, Mapping

from assay.errors import AssayError, UnavailableError
from assay.health.state import Check, State

_KEY = "make_new_x509_err"


def agent_checks(probe: Callable[[], Awaitable[object]], attested: Callable[[], bool]) -> Mapping[str, Check]:
    """The check by its name. `probe` calls the Workload API, whose refusals are answers too: few entries match us.

    Where that is not served, there is nothing to call, and an agent is ready once it is attested.

    An agent that is not attested yet lives, and is not ready.
    """

    async def workload_api() -> State:
        error = await _fault(probe)
        starting = not attested()
        details = {_KEY: error} if error else {}
        return State(
            live=starting or not error,
            ready=not error and not starting,
            live_details={} if starting else details,
            ready_details=details,
            starting=starting,
        )

    return {"agent": workload_api}


async def _fault(probe: Callable[[], Awaitable[object]]) -> str:
    try:
        await probe()
    except UnavailableError:
        return "workload api is unavailable"
    except AssayError:
        return ""
    return ""
