"""Authorizers: whole segments, whole trust domains, and nobody by accident."""

from typing import cast

import pytest

from assay.authorize import Authorizer, NotAuthorizedError, any_id, any_of, matching, member_of, one_of, path_prefix
from assay.errors import InvalidArgumentError, Kind
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid.refusal import Reason, RefusedError

WEB, DB = "spiffe://example.org/ns/prod/web", "spiffe://example.org/ns/prod/db"


def admits(authorizer: Authorizer, text: str) -> bool:
    try:
        authorizer.check(SpiffeId.parse(text))
    except NotAuthorizedError:
        return False
    return True


@pytest.mark.parametrize(
    ("authorizer", "admitted", "refused"),
    [
        (any_id(), [WEB, "spiffe://other.org/x"], []),
        (one_of(WEB, SpiffeId.parse(DB)), [WEB, DB], [f"{WEB}/x", "spiffe://example.org/ns/prod", f"{WEB[:-1]}"]),
        (one_of(WEB), [WEB], ["spiffe://example.org/ns/prod/Web", "spiffe://example.or/ns/prod/web"]),
        (member_of("example.org"), [WEB], ["spiffe://example.org.evil/x", "spiffe://a.example.org/x"]),
        (member_of(TrustDomain("a"), "spiffe://b/x"), ["spiffe://a/x", "spiffe://b/y"], ["spiffe://c/x"]),
        (
            path_prefix("example.org", "/ns/prod"),
            [WEB, "spiffe://example.org/ns/prod"],
            ["spiffe://example.org/ns/production", "spiffe://example.org/ns", "spiffe://other.org/ns/prod/web"],
        ),
        (
            matching(lambda one: one.path.endswith("/web"), "web servers"),
            [WEB, "spiffe://other.org/web"],
            [DB],
        ),
        (any_of(one_of(WEB), member_of("other.org")), [WEB, "spiffe://other.org/x"], [DB]),
    ],
    ids=lambda value: value.description if isinstance(value, Authorizer) else "",
)
@pytest.mark.spec("ID-2.4-b")
def test_admits(authorizer: Authorizer, admitted: list[str], refused: list[str]) -> None:
    assert [one for one in admitted + refused if admits(authorizer, one)] == admitted


def test_a_refusal_says_who_and_who_instead() -> None:
    with pytest.raises(NotAuthorizedError) as caught:
        one_of(DB).check(SpiffeId.parse(WEB))
    error = caught.value
    assert isinstance(error, RefusedError)
    assert (error.reason, error.kind) == (Reason.NOT_AUTHORIZED, Kind.PERMISSION_DENIED)
    assert str(error.spiffe_id) == WEB
    assert error.wanted == f"one of {DB}"
    assert error.hint == f"wanted: one of {DB}"
    # Whom else this service takes is none of the caller's business.
    assert error.as_dict() == {
        "reason": "not_authorized",
        "message": f'SPIFFE ID "{WEB}" is not authorized',
        "spiffe_id": WEB,
    }


@pytest.mark.parametrize("answer", [None, 0, 1, "yes", [WEB]])
def test_only_true_admits(answer: object) -> None:
    assert not admits(matching(lambda _: cast("bool", answer), "nobody"), WEB)


def test_many_ids_are_described_by_some() -> None:
    described = one_of(*(f"spiffe://td/{number}" for number in range(9))).description
    assert described.endswith("spiffe://td/4 and 4 more")
    assert "spiffe://td/5" not in described


@pytest.mark.parametrize(
    "make",
    [
        one_of,
        member_of,
        any_of,
        lambda: one_of(""),
        lambda: one_of("web"),
        lambda: one_of("spiffe://example.org"),
        lambda: one_of("spiffe://example.org/"),
        lambda: member_of("Example.org"),
        lambda: member_of(""),
        lambda: path_prefix("example.org", ""),
        lambda: path_prefix("example.org", "/"),
        lambda: path_prefix("example.org", "ns"),
        lambda: path_prefix("example.org", "/ns/"),
        lambda: matching(lambda _: True, ""),
    ],
)
def test_rules_that_mean_nothing_are_refused(make: object) -> None:
    with pytest.raises(InvalidArgumentError):
        make()  # type: ignore[operator]
