"""Large updates in parts, which say the same together."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from assay.status.jsonform import update_of
from assay.status.parts import MOST_ITEMS, parts, slices, whole
from assay.status.values import Identity, Revoked, Told
from assay.status.view import StatusView
from assay_proto.status.v1 import status_pb2 as pb

LONG = "x" * 1024
NAME = "spiffe://example.org/" + "y" * 2000


def told(revoked: int, identities: int, **changes: Any) -> Told:  # noqa: ANN401 - fields of Told
    return replace(
        Told(
            7,
            "one",
            snapshot=True,
            revoked=tuple(Revoked(f"crd_{number}", "tsk_1", 2**33, 2**32, LONG) for number in range(revoked)),
            identities=tuple(Identity(f"{NAME}{number}", number % 2 == 0, "odd") for number in range(identities)),
            at=2**32,
            interval=2,
            staleness={"consequential_read": 60},
        ),
        **changes,
    )


@pytest.mark.parametrize("counts", [(0, 0), (1, 1), (MOST_ITEMS, 0), (MOST_ITEMS, 1), (1000, 1000)])
@pytest.mark.parametrize("snapshot", [True, False])
def test_parts_are_small_and_say_the_same_together(counts: tuple[int, int], snapshot: bool) -> None:
    wanted = told(*counts, snapshot=snapshot)
    messages = list(parts(wanted))
    assert all(one.ByteSize() < 1024 * 1024 for one in messages)
    assert [one.more for one in messages] == [True] * (len(messages) - 1) + [False]
    assert [one.snapshot for one in messages[1:]] == [False] * (len(messages) - 1)
    assert whole(messages) == wanted


def test_a_view_takes_them_one_after_another() -> None:
    view, messages = StatusView(), list(parts(told(1000, 1000)))
    for one in messages[:-1]:
        view.apply(one, 2**32)
        assert view.position == 0
    view.apply(messages[-1], 2**32)
    assert (view.position, len(list(view.revocations())), len(view.withdrawals())) == (7, 1000, 500)


def test_json_is_the_same_message() -> None:
    wanted = told(500, 3)
    read = [ParseDict(update_of(part, more=more), pb.Update()) for part, more in slices(wanted)]
    assert read == list(parts(wanted))
