"""Fail closed: what a verifier refuses because it has ended, or because nobody can tell."""

from typing import Any

import pytest

from assay.authorize import any_id
from assay.errors import Kind
from assay.standing import Question, Standing, StatusCheck
from assay.svid import proof
from assay.svid.dpop import DpopKey
from assay.svid.refusal import Reason, RefusedError
from assay.tasktoken import TaskTokenVerifier
from assay.tasktoken.held import Held
from assay.testing import FakeClock, InMemoryTrustDomain
from assay.testing.status import INTERVAL
from assay.verify import JwtVerifier, WitVerifier, X509Verifier
from assay.workloadapi.errors import MalformedResponseError
from assay_proto.status.v1 import status_pb2 as pb

CRM = "https://crm.example/mcp"
AGENT = "/principal/bot/i7f3"
GRACE = 2
Prove = Any


def reason(verifier: TaskTokenVerifier, token: str, prove: Prove, action: str = "crm.read") -> Reason | None:
    try:
        verifier.verify(token, prove(token), action)
    except RefusedError as refusal:
        return refusal.reason
    return None


def test_a_revoked_token_is_refused_at_once_and_another_of_the_task_is_not(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, token: str, prove: Prove, key: DpopKey
) -> None:
    other = domain.task_token(AGENT, CRM, "crm.read", key=key)
    assert reason(verifier, token, prove) is None
    domain.status.revoke(token, "task is over")
    assert reason(verifier, token, prove) is Reason.REVOKED
    assert reason(verifier, other, prove) is None


def test_the_tokens_of_a_withdrawn_instance_are_refused_until_it_counts_again(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, token: str, prove: Prove
) -> None:
    domain.status.withdraw(domain.id(AGENT))
    assert reason(verifier, token, prove) is Reason.WITHDRAWN
    domain.status.restore(domain.id(AGENT))
    assert reason(verifier, token, prove) is None


def test_nothing_passes_before_the_first_snapshot(
    domain: InMemoryTrustDomain, token: str, prove: Prove, clock: FakeClock
) -> None:
    domain.status.staleness = {"consequential_read": 600}
    domain.status.silence()
    verifier = TaskTokenVerifier(domain, domain.issuer, CRM, domain.status, clock=clock)
    assert reason(verifier, token, prove) is Reason.STATUS_UNKNOWN


def test_half_a_snapshot_is_nothing(domain: InMemoryTrustDomain, token: str, prove: Prove, clock: FakeClock) -> None:
    held = Held(clock)
    verifier = TaskTokenVerifier(domain, domain.issuer, CRM, held, clock=clock)
    now = int(clock.now().timestamp())
    held.apply(pb.Update(position=5, incarnation="a", snapshot=True, more=True, at=now, interval=1))
    assert reason(verifier, token, prove) is Reason.STATUS_UNKNOWN
    held.apply(pb.Update(position=5, incarnation="a", at=now, interval=1))
    assert reason(verifier, token, prove) is None


def test_what_goes_on_from_something_else_is_an_error_and_voids_what_is_held(
    domain: InMemoryTrustDomain, token: str, prove: Prove, clock: FakeClock
) -> None:
    held = Held(clock)
    verifier = TaskTokenVerifier(domain, domain.issuer, CRM, held, clock=clock)
    now = int(clock.now().timestamp())
    held.apply(pb.Update(position=5, incarnation="a", snapshot=True, at=now, interval=1))
    assert reason(verifier, token, prove) is None
    with pytest.raises(MalformedResponseError):
        held.apply(pb.Update(position=6, incarnation="b", at=now, interval=1))
    assert reason(verifier, token, prove) is Reason.STATUS_UNKNOWN
    assert (held.start.position, held.start.incarnation) == (0, "")


@pytest.mark.parametrize(
    ("classes", "allowed"),
    [
        ({"crm.read": "consequential_read"}, 30),
        ({"crm.read": "irreversible"}, 0),
        ({"crm.read": "unheard_of"}, 0),
        ({"crm.list": "consequential_read"}, 0),
        ({}, 0),
    ],
)
def test_how_old_knowledge_may_be_follows_from_the_class_of_the_action(
    domain: InMemoryTrustDomain, verifier: TaskTokenVerifier, clock: FakeClock, key: DpopKey, prove: Prove,
    classes: dict[str, str], allowed: int,
) -> None:  # fmt: skip
    """Requirement 39: an action whose class is not known counts as the gravest."""
    domain.status.staleness = {"consequential_read": 30}
    token = domain.task_token(AGENT, CRM, ["crm.read", "crm.list"], key=key, classes=classes)
    assert reason(verifier, token, prove) is None
    domain.status.silence()
    clock.advance(INTERVAL + GRACE + allowed)
    assert reason(verifier, token, prove) is None
    clock.advance(1)
    assert reason(verifier, token, prove) is Reason.STATUS_UNKNOWN
    domain.status.speak()
    assert reason(verifier, token, prove) is None


def test_without_an_action_status_is_judged_as_for_the_gravest(
    domain: InMemoryTrustDomain, verifier: TaskTokenVerifier, clock: FakeClock, key: DpopKey, prove: Prove
) -> None:
    domain.status.staleness = {"consequential_read": 30}
    token = domain.task_token(AGENT, CRM, "crm.read", key=key, classes={"crm.read": "consequential_read"})
    verifier.verify(token, prove(token))
    domain.status.silence()
    clock.advance(INTERVAL + GRACE + 1)
    assert reason(verifier, token, prove, "") is Reason.STATUS_UNKNOWN
    assert reason(verifier, token, prove) is None


def test_degraded_is_told_and_never_goes_beyond_the_tokens_end(
    domain: InMemoryTrustDomain, verifier: TaskTokenVerifier, clock: FakeClock, key: DpopKey, prove: Prove
) -> None:
    """The stricter of exp and what is known: no leeway for clocks on top of old knowledge."""
    domain.status.staleness = {"consequential_read": 3600}
    token = domain.task_token(AGENT, CRM, "crm.read", key=key, classes={"crm.read": "consequential_read"})
    assert verifier.verify(token, prove(token), "crm.read").staleness == 0
    domain.status.silence()
    clock.advance(299)
    assert verifier.verify(token, prove(token), "crm.read").staleness == 299
    clock.advance(1)
    assert reason(verifier, token, prove) is Reason.EXPIRED


def test_knowledge_grows_old_by_whichever_clock_goes_further(
    domain: InMemoryTrustDomain, verifier: TaskTokenVerifier, clock: FakeClock, token: str, prove: Prove
) -> None:
    assert reason(verifier, token, prove) is None
    domain.status.silence()
    clock.jump(-3600)
    clock.advance(INTERVAL + GRACE + 1)
    standing = domain.status.standing(Question("crd_1"))
    assert not standing.fresh
    clock.jump(3600)
    # As after a sleep of the machine, which the monotonic clock does not count.
    clock.jump(20)
    assert domain.status.standing(Question("crd_1")).age >= 20


@pytest.mark.parametrize("skew", [60, -60])
def test_clocks_that_differ_by_a_minute_are_no_age(
    domain: InMemoryTrustDomain, verifier: TaskTokenVerifier, clock: FakeClock, token: str, prove: Prove, skew: int
) -> None:
    domain.status.skew = skew
    reason(verifier, token, prove)
    clock.advance(INTERVAL)
    assert reason(verifier, token, prove) is None
    assert domain.status.standing(Question("crd_1")).age <= 1
    domain.status.silence()
    clock.advance(INTERVAL + GRACE + 1)
    assert reason(verifier, token, prove) is Reason.STATUS_UNKNOWN


def test_a_clock_that_is_further_ahead_than_that_has_everything_refused(
    domain: InMemoryTrustDomain, verifier: TaskTokenVerifier, clock: FakeClock, token: str, prove: Prove
) -> None:
    domain.status.skew = -90
    for _ in range(3):
        assert reason(verifier, token, prove) is Reason.STATUS_UNKNOWN
        clock.advance(INTERVAL)


def test_what_lay_somewhere_is_not_taken_for_a_clock_that_is_behind(clock: FakeClock) -> None:
    """A snapshot of half a minute ago is old, whatever the clocks."""
    held = Held(clock)
    at = int(clock.now().timestamp()) - 30
    held.apply(pb.Update(position=5, incarnation="a", snapshot=True, at=at, interval=1))
    assert held.standing(Question("crd_1")) == Standing(None, 30, fresh=False, degraded=True, issuer_time=at)
    held.apply(pb.Update(position=5, incarnation="a", at=at + 30, interval=1))
    assert held.standing(Question("crd_1")).fresh


# SVIDs


def test_svids_of_a_withdrawn_identity_and_revoked_ones_are_refused(
    domain: InMemoryTrustDomain, clock: FakeClock
) -> None:
    check = StatusCheck(domain.status)
    x509 = X509Verifier(domain, any_id(), clock, status=check)
    jwt = JwtVerifier(domain, "orders", any_id(), clock, status=check)
    wit = WitVerifier(domain, "orders", any_id(), clock, status=check)
    svid, token, witness = (
        domain.x509_svid(AGENT),
        domain.jwt_svid(AGENT, "orders", jti="crd_1"),
        domain.wit_svid(AGENT),
    )
    proven = proof.prove(witness, "orders", clock.now())
    x509.verify(svid.chain)
    jwt.verify(token)
    wit.verify(witness.token, proven)
    domain.status.revoke(token)
    with pytest.raises(RefusedError) as caught:
        jwt.verify(token)
    assert caught.value.reason is Reason.REVOKED
    assert jwt.verify(domain.jwt_svid(AGENT, "orders")).spiffe_id == domain.id(AGENT)
    domain.status.withdraw(domain.id(AGENT))
    for verify in (
        lambda: x509.verify(svid.chain),
        lambda: jwt.verify(domain.jwt_svid(AGENT, "orders")),
        lambda: wit.verify(witness.token, proven),
    ):
        with pytest.raises(RefusedError) as caught:
            verify()
        assert caught.value.reason is Reason.WITHDRAWN
    assert x509.verify(domain.x509_svid("/other").chain) == domain.id("/other")


def test_svids_are_refused_when_status_cannot_be_learnt_unless_it_is_said_what_they_are_for(
    domain: InMemoryTrustDomain, clock: FakeClock
) -> None:
    domain.status.staleness = {"consequential_read": 60}
    grave = JwtVerifier(domain, "orders", any_id(), clock, status=StatusCheck(domain.status))
    mild = JwtVerifier(domain, "orders", any_id(), clock, status=StatusCheck(domain.status, "consequential_read"))
    token = domain.jwt_svid(AGENT, "orders")
    grave.verify(token)
    domain.status.silence()
    clock.advance(30)
    with pytest.raises(RefusedError) as caught:
        grave.verify(token)
    assert (caught.value.reason, caught.value.kind) == (Reason.STATUS_UNKNOWN, Kind.UNAVAILABLE)
    assert mild.verify(token).spiffe_id == domain.id(AGENT)
