"""Requirements 41 and 51: a principal's states, and that none is ever active with something missing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import FailedPreconditionError
from assay_server.governance.missing import Missing
from assay_server.governance.principal_state import Move, moved
from assay_server.model.governed.principal import ActorType, Principal, PrincipalState

BOT = Principal("bot", ActorType.AI_AGENT)
STAGED, ACTIVE = PrincipalState.STAGED, PrincipalState.ACTIVE
SUSPENDED, RETIRED = PrincipalState.SUSPENDED, PrincipalState.RETIRED
LEGAL = {
    (STAGED, Move.ACTIVATE): ACTIVE,
    (ACTIVE, Move.SUSPEND): SUSPENDED,
    (SUSPENDED, Move.RESUME): ACTIVE,
    (STAGED, Move.RETIRE): RETIRED,
    (ACTIVE, Move.RETIRE): RETIRED,
    (SUSPENDED, Move.RETIRE): RETIRED,
}


@pytest.mark.parametrize("state", list(PrincipalState))
@pytest.mark.parametrize("move", list(Move))
def test_only_legal_transitions(state: PrincipalState, move: Move) -> None:
    before = replace(BOT, state=state)
    if (state, move) in LEGAL:
        after = moved(before, move, (), "because", 7)
        assert (after.state, after.state_reason, after.updated_at) == (LEGAL[state, move], "because", 7)
        assert after.revision == before.revision + 1
    else:
        with pytest.raises(FailedPreconditionError, match=f"is {state.value}"):
            moved(before, move, (), "", 7)


# Retiring ends all: were it as likely as the others, few schedules would come far.
OFTEN = [Move.ACTIVATE, Move.SUSPEND, Move.RESUME] * 5


@given(st.lists(st.tuples(st.sampled_from([*OFTEN, Move.RETIRE]), st.booleans()), min_size=10, max_size=40))
def test_never_active_with_something_missing_and_retired_for_ever(steps: list[tuple[Move, bool]]) -> None:
    """Requirement 41; `lacks` says whether something is missing when the step is tried."""
    one, retired = BOT, False
    for move, lacks in steps:
        before = one
        try:
            one = moved(one, move, [Missing("tenant", "--tenant")] if lacks else [], "", 0)
        except FailedPreconditionError:
            one = before
        else:
            assert one.state is not ACTIVE or not lacks
        assert not retired or one.state is RETIRED
        retired = one.state is RETIRED


def test_a_refusal_names_all_that_is_missing() -> None:
    missing = [Missing("tenant", "--tenant"), Missing("purpose", "--purpose")]
    with pytest.raises(FailedPreconditionError, match=r"tenant \(--tenant\), purpose \(--purpose\)") as refused:
        moved(BOT, Move.ACTIVATE, missing, "", 0)
    assert "assay principal update bot" in refused.value.hint
