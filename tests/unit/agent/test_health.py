"""Whether an agent is well, by what its Workload API answers."""

import pytest

from assay.errors import PermissionDeniedError, UnavailableError
from assay.health.state import State
from assay_agent.health import agent_checks

REASON = {"make_new_x509_err": "workload api is unavailable"}


async def looked(error: Exception | None, *, attested: bool) -> State:
    async def probe() -> None:
        if error is not None:
            raise error

    return await agent_checks(probe, lambda: attested)["agent"]()


@pytest.mark.parametrize("error", [None, PermissionDeniedError("no identity issued")])
async def test_an_answer_is_health_even_if_it_is_a_refusal(error: Exception | None) -> None:
    assert await looked(error, attested=True) == State(live=True, ready=True)


async def test_an_api_that_is_unavailable_is_not() -> None:
    assert await looked(UnavailableError("x"), attested=True) == State(False, False, REASON, REASON)


async def test_with_nothing_to_call_an_agent_is_ready_once_it_is_attested() -> None:
    assert await looked(None, attested=False) == State(live=True, ready=False, starting=True)
    assert await looked(None, attested=True) == State(live=True, ready=True)


async def test_an_agent_on_its_way_up_lives_and_is_not_ready() -> None:
    found = await looked(UnavailableError("x"), attested=False)
    assert found == State(live=True, ready=False, ready_details=REASON, starting=True)
