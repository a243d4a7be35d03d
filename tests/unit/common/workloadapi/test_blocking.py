"""The sources and the client for programs without a loop: the agent runs in another thread's."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from grpc import StatusCode

from assay import authorize
from assay.errors import InvalidArgumentError, UnavailableError, UnimplementedError
from assay.spiffeid import TrustDomain
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.verify import JwtVerifier, X509Verifier
from assay.workloadapi import (
    ForkedError,
    MalformedResponseError,
    NoIdentityError,
    SourceClosedError,
    SourceNotReadyError,
    SvidExpiredError,
    blocking,
)
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.unit.common.workloadapi.conftest import Elsewhere, Responses

    from assay.workloadapi import HintedX509Svid

OWN = TrustDomain("example.org")
NAME = "assay.workloadapi"


def token(authority: Authority) -> pb.JWTSVIDResponse:
    svid = pb.JWTSVID(spiffe_id="spiffe://example.org/web", svid=authority.jwt_svid("/web", ("db",)))
    return pb.JWTSVIDResponse(svids=[svid])


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == NAME]


def test_x509_is_served_and_rotates(elsewhere: Elsewhere, response: Responses, clock: FakeClock) -> None:
    with blocking.X509Source(elsewhere.agent.endpoint, clock=clock) as source:
        first = source.svid()
        assert first.spiffe_id.path == "/web"
        assert X509Verifier(source, authorize.any_id(), clock).verify(first.chain) == first.spiffe_id
        assert [one.spiffe_id for one in source.svids()] == [first.spiffe_id]
        assert source.age(clock.now()) == 0
        elsewhere.say("x509", response())
        assert source.changed(1) == 2
        assert source.svid() != first
        assert source.changed(2, within=0) == 2
        clock.advance(7200)
        with pytest.raises(SvidExpiredError):
            source.svid()
        elsewhere.say("x509", StatusCode.PERMISSION_DENIED)
        assert source.changed(2) == 3
        with pytest.raises(NoIdentityError):
            source.svid()
        assert dict(source.bundles()) == {}
        assert source.status.failures == 1
    assert threads() == []


def test_picking_is_the_same(elsewhere: Elsewhere, response: Responses, clock: FakeClock) -> None:
    elsewhere.say("x509", response("/web", "/db"))
    wanted = "spiffe://example.org/db"
    with blocking.X509Source(elsewhere.agent.endpoint, clock=clock, spiffe_id=wanted) as source:
        assert source.svid().spiffe_id.path == "/db"


def test_jwt_is_fetched_by_many_threads_at_once(elsewhere: Elsewhere, authority: Authority, clock: FakeClock) -> None:
    elsewhere.agent.tokens = [token(authority)]
    with blocking.JwtSource(elsewhere.agent.endpoint, clock=clock) as source, ThreadPoolExecutor(16) as pool:
        found = {svid.token for svid in pool.map(lambda _: source.fetch("db"), range(200))}
        assert (len(found), len(elsewhere.agent.asked)) == (1, 1)
        assert JwtVerifier(source, "db", authorize.any_id(), clock).verify(found.pop()).audience == ("db",)
        with pytest.raises(InvalidArgumentError):
            source.fetch("")
        elsewhere.agent.tokens = [StatusCode.UNAVAILABLE]
        with pytest.raises(UnavailableError, match="as scripted"):
            source.fetch("other")


@pytest.mark.parametrize("kind", [blocking.X509BundleSource, blocking.JwtBundleSource])
def test_bundles_are_followed(
    elsewhere: Elsewhere, clock: FakeClock, kind: type[blocking.X509BundleSource | blocking.JwtBundleSource]
) -> None:
    with kind(elsewhere.agent.endpoint, clock=clock) as source:
        assert set(source.bundles()) == {OWN}
        elsewhere.say("x509 bundles", StatusCode.PERMISSION_DENIED)
        elsewhere.say("jwt bundles", StatusCode.PERMISSION_DENIED)
        assert source.changed(1) == 2
        assert dict(source.bundles()) == {}


def test_the_client_answers_and_watches(elsewhere: Elsewhere, authority: Authority, response: Responses) -> None:
    elsewhere.agent.tokens = [token(authority)]
    with blocking.WorkloadApiClient(elsewhere.agent.endpoint) as client:
        assert client.fetch_x509(within=30).default.spiffe_id.path == "/web"
        assert client.fetch_jwt(["db"])[0].spiffe_id.path == "/web"
        with pytest.raises(UnimplementedError):
            client.validate_jwt("a", "t")
        assert next(client.watch_jwt_bundles()).keys() == {OWN}
        assert next(client.watch_x509_bundles()).keys() == {OWN}
        watch = client.watch_x509()
        first = next(watch)
        elsewhere.say("x509", response("/next"))
        assert next(watch) != first
        elsewhere.say("x509", None)
        assert list(watch) == []
        refused: list[MalformedResponseError] = []
        elsewhere.say("x509", pb.X509SVIDResponse())
        watch = client.watch_x509(on_malformed=refused.append)
        reader = threading.Thread(target=lambda: next(watch))
        reader.start()
        while not refused:
            reader.join(0.01)
        elsewhere.say("x509", response())
        reader.join()
        watch.close()
    assert threads() == []
    client.close()
    with pytest.raises(SourceClosedError):
        client.fetch_x509()


def test_a_failed_opening_leaves_no_thread(elsewhere: Elsewhere, clock: FakeClock) -> None:
    elsewhere.say("x509", StatusCode.INVALID_ARGUMENT)
    source = blocking.X509Source(elsewhere.agent.endpoint, clock=clock)
    with pytest.raises(InvalidArgumentError, match="as scripted"):
        source.open()
    with pytest.raises(SourceNotReadyError), blocking.X509Source("unix:/nowhere/api.sock", within=0.01):
        pass
    with pytest.raises(InvalidArgumentError, match="scheme"):
        blocking.WorkloadApiClient("nowhere")
    assert threads() == []


def test_closing_wakes_who_waits_and_may_be_repeated(elsewhere: Elsewhere, clock: FakeClock) -> None:
    source = blocking.X509Source(elsewhere.agent.endpoint, clock=clock)
    source.close()
    source = blocking.X509Source(elsewhere.agent.endpoint, clock=clock)
    source.open()
    with pytest.raises(SourceClosedError, match="opened before"):
        source.open()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(source.changed, 1) for _ in range(4)]
        source.close()
        for one in waiting:
            with pytest.raises(SourceClosedError):
                one.result()
    source.close()
    for use in (source.svid, source.bundles, source.open, lambda: source.changed(1)):
        with pytest.raises(SourceClosedError):
            use()
    assert threads() == []


def test_what_is_dropped_without_closing_ends_its_thread(elsewhere: Elsewhere, clock: FakeClock) -> None:
    source = blocking.X509Source(elsewhere.agent.endpoint, clock=clock)
    source.open()
    assert len(threads()) == 1
    del source
    gc.collect()
    assert threads() == []


def test_a_picker_that_waits_is_refused_rather_than_hung(elsewhere: Elsewhere, clock: FakeClock) -> None:
    refused: list[str] = []

    def pick(svids: Sequence[HintedX509Svid]) -> HintedX509Svid:
        try:
            source.changed(0)
        except SourceClosedError as error:
            refused.append(str(error))
        return svids[0]

    source = blocking.X509Source(elsewhere.agent.endpoint, clock=clock, pick=pick)
    with source:
        assert "called from a callback" in refused[0]


@contextmanager
def forked(source: blocking.X509Source) -> Iterator[None]:
    """As in a child: a process with another ID. Forking for real is the matter of test_processes."""
    background = source._background
    background._process += 1
    yield
    background._process = os.getpid()


def test_a_forked_child_is_refused_and_ends_nothing(elsewhere: Elsewhere, clock: FakeClock) -> None:
    with blocking.X509Source(elsewhere.agent.endpoint, clock=clock) as source:
        with forked(source):
            for use in (source.svid, source.svids, source.bundles, lambda: source.changed(0), lambda: source.status):
                with pytest.raises(ForkedError, match="open a source or client of its own"):
                    use()
            source.close()
        assert source.svid().spiffe_id.path == "/web"
