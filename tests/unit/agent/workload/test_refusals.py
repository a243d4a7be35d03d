"""What is kept and logged of callers that got nothing."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from assay.entry import Entry
from assay.plugin.workloadattestor import WorkloadAttestor
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.transport.peer import Process, UnixPeer
from assay_agent.cache import Cache, Update
from assay_agent.plugins.workloadattestor_unix import UnixAttestor
from assay_agent.workload.refusals import MOST_USERS, PER_USER, Refusals

TD = TrustDomain("example.org")
AGENT = SpiffeId(TD, "/spire/agent/x509pop/here")
Note = Callable[[int], list[dict[str, Any]]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache() -> Cache:
    cache = Cache(TD)
    entry = Entry("an-id", SpiffeId(TD, "/web"), AGENT, (Selector("unix", "uid:1001"),))
    cache.apply(Update(snapshot=True, entries=[entry], bundles=[Authority(TD.name).bundle]))
    return cache


@pytest.fixture
def refusals(cache: Cache, clock: FakeClock) -> Refusals:
    plugins: list[WorkloadAttestor] = [UnixAttestor(clock)]
    return Refusals(cache, clock, TD, plugins, lambda: AGENT)


@pytest.fixture
def note(refusals: Refusals) -> Note:
    """Have a process of that user refused; what was logged."""

    def made(uid: int) -> list[dict[str, Any]]:
        process = Process(os.getpid(), -1, None)
        with capture_logs() as lines:
            refusals.note(UnixPeer(os.getpid(), uid, 0, process), frozenset({Selector("unix", f"uid:{uid}")}))
        return [dict(line) for line in lines]

    return made


def test_the_log_says_which_entry_came_nearest_and_what_it_lacks(note: Note) -> None:
    (line,) = note(1000)
    assert line["event"] == "No entry fits workload"
    assert (line["entry"], line["spiffe_id"]) == ("an-id", "spiffe://example.org/web")
    assert line["reason"] == "it asks for unix:uid:1001; the workload has unix:uid:1000"
    assert line["hint"] == "assay explain --uid 1000"
    assert (line["pid"], line["uid"], line["selectors"]) == (os.getpid(), 1000, ["unix:uid:1000"])


def test_each_user_is_logged_once_in_a_while_and_few_in_a_second(note: Note, clock: FakeClock) -> None:
    assert note(1000)
    assert not note(1000)
    assert not note(2000), "that soon"
    clock.advance(2)
    assert note(2000)
    assert not note(1000)
    clock.advance(PER_USER)
    assert note(1000)


def test_the_last_of_each_user_is_kept_the_last_first(note: Note, refusals: Refusals, clock: FakeClock) -> None:
    note(1)
    note(2)
    clock.advance(5)
    note(1)
    assert [(one.uid, one.refused_at - int(clock.now().timestamp())) for one in refusals.kept] == [(1, 0), (2, -5)]


def test_no_more_users_are_kept_than_there_is_room_for(note: Note, refusals: Refusals) -> None:
    for uid in range(MOST_USERS + 5):
        note(uid)
    assert len(refusals.kept) == MOST_USERS
    assert refusals.kept[0].uid == MOST_USERS + 4
