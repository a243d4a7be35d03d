import pytest

from assay.errors import AssayError, DenialReason, InvalidArgumentError, PermissionDeniedError, UnavailableError
from assay_agent.attestation.decision import Reaction, expired, other_slot, reaction


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        (DenialReason.AGENT_BANNED, Reaction.STOP),
        (DenialReason.AGENT_EXPIRED, Reaction.REATTEST),
        (DenialReason.AGENT_NOT_ATTESTED, Reaction.REATTEST),
        (DenialReason.AGENT_NOT_ACTIVE, Reaction.REATTEST),
        (DenialReason.AGENT_MUST_REATTEST, Reaction.REATTEST),
        (None, Reaction.RETRY),
    ],
)
def test_each_reason_has_its_reaction(reason: DenialReason | None, wanted: Reaction) -> None:
    assert reaction(PermissionDeniedError("no", reason=reason)) is wanted


def test_no_reason_is_left_without_reaction() -> None:
    assert {reaction(PermissionDeniedError("no", reason=reason)) for reason in DenialReason} == {
        Reaction.STOP,
        Reaction.REATTEST,
    }


@pytest.mark.parametrize("error", [UnavailableError("gone"), InvalidArgumentError("wrong")])
def test_other_failures_are_tried_again(error: AssayError) -> None:
    assert reaction(error) is Reaction.RETRY


@pytest.mark.parametrize(("now", "wanted"), [(98.9, False), (99, True), (100, True), (101, True)])
def test_an_svid_counts_as_expired_a_second_early(now: float, wanted: bool) -> None:
    assert expired(100, now) is wanted


def test_the_next_key_never_takes_the_place_of_the_present_one() -> None:
    assert [other_slot(slot) for slot in (None, "agent-svid-A", "agent-svid-B")] == [
        "agent-svid-A",
        "agent-svid-B",
        "agent-svid-A",
    ]
