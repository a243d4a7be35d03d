"""An agent whose host's clock jumps: libfaketime tells a real agent another time, and a file says which.

The rows of docs/agent-life.md about clocks. The server's clock is right. libfaketime leaves the monotonic clock alone,
as setting a machine's clock does.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.testing.workload import svids
from assay.testing.x509pop import use_x509pop

if TYPE_CHECKING:
    from tests.conftest import Deployments
else:
    Deployments = object

FIRST = frozenset({f"spiffe://{TRUST_DOMAIN}/first"})
BOTH = FIRST | {f"spiffe://{TRUST_DOMAIN}/second"}
PATIENCE = 150.0
"""Seconds; an agent looks at its SVIDs once a minute."""
NOT_VALID = "cert is not valid at validation time"
RENEWING = "Renewing X509-SVID"
# With the 10 s that it is dated back, renewed after half a minute or so.
SHORT = 'default_x509_svid_ttl = "1m"'


class Host:
    """A deployment whose agent goes by a clock of its own."""

    def __init__(self, deployment: Deployment, faketime: str, environment: pytest.MonkeyPatch) -> None:
        self.deployment = deployment
        self._faketime = faketime
        self._environment = environment
        self.set(0)

    def set(self, seconds: int) -> None:
        """Set the agent's clock to so many seconds before or after the right time."""
        written = self.deployment.dir / "clock.new"
        written.write_text(f"{seconds:+d}")
        written.rename(self.deployment.dir / "clock")

    @contextmanager
    def _clock(self) -> Iterator[None]:
        with self._environment.context() as environment:
            environment.setenv("LD_PRELOAD", self._faketime)
            environment.setenv("FAKETIME_TIMESTAMP_FILE", str(self.deployment.dir / "clock"))
            environment.setenv("FAKETIME_NO_CACHE", "1")
            environment.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            environment.setenv("NO_FAKE_STAT", "1")
            yield

    def start(self, *, x509pop: bool) -> Deployment:
        """Server and agent, with an SVID for this user."""
        if x509pop:
            use_x509pop(self.deployment.dir)
        self.deployment.start_server()
        self.deployment.write_bundle()
        self.start_agent(*([] if x509pop else ["--join-token", self.deployment.operator.join_token()]))
        self.deployment.register("/first")
        return self.deployment

    def start_agent(self, *args: str) -> None:
        with self._clock():
            self.deployment.start_agent(*args)

    def count(self, words: str) -> int:
        return self.deployment.log("agent").count(words)

    def until_more(self, words: str, than: int) -> None:
        """Wait for the agent to say that more often."""
        end = time.monotonic() + PATIENCE
        while self.count(words) <= than:
            assert self.deployment.processes["agent"].poll() is None, self.deployment.log("agent")[-4000:]
            assert time.monotonic() < end, self.deployment.log("agent")[-4000:]
            time.sleep(0.05)


@pytest.fixture
def host(deployments: Deployments, faketime: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Host]:
    """A host whose server has that configuration, too."""
    return lambda server: Host(deployments(server=server), faketime, monkeypatch)


@pytest.mark.parametrize("x509pop", [True, False])
def test_forward_within_the_svids_life_what_is_due_is_renewed_within_a_minute(
    host: Callable[[str], Host], x509pop: bool
) -> None:
    one = host("")
    deployment = one.start(x509pop=x509pop)
    assert one.count(RENEWING) == 0
    one.set(40 * 60)
    one.until_more(RENEWING, 0)
    one.until_more("Successfully reattested node" if x509pop else "Successfully rotated agent SVID", 0)
    one.set(0)
    deployment.register("/second")
    assert svids(deployment.api) == BOTH


def test_after_a_clock_that_was_far_ahead_is_set_right_svids_are_renewed_in_time(host: Callable[[str], Host]) -> None:
    """What was signed meanwhile was over already to the agent, and must not wait for that time to come."""
    one = host(SHORT)
    deployment = one.start(x509pop=True)
    one.set(24 * 3600)
    one.until_more(RENEWING, 1)
    one.until_more(NOT_VALID, 0)
    assert svids(deployment.api) == FIRST
    one.set(0)
    # The first may be of a moment before.
    one.until_more(RENEWING, one.count(RENEWING) + 1)
    reattested = one.count("Successfully reattested node")
    one.until_more("Successfully reattested node", reattested)
    deployment.register("/second")
    assert svids(deployment.api) == BOTH


def test_forward_beyond_the_svids_end_a_node_that_cannot_attest_again_ends_and_comes_back_with_what_it_has(
    host: Callable[[str], Host],
) -> None:
    one = host("")
    deployment = one.start(x509pop=False)
    agent_id = deployment.agent_id()
    one.set(24 * 3600)
    assert deployment.processes.pop("agent").wait(PATIENCE) == 1
    assert one.count("current SVID has already expired") > 0
    one.set(0)
    one.start_agent()
    assert one.count("SVID loaded") == 1
    assert one.count("Node attestation was successful") == 1
    deployment.register("/second")
    assert (svids(deployment.api), deployment.agent_id()) == (BOTH, agent_id)


def test_forward_beyond_the_svids_end_a_node_that_can_attest_again_serves_and_tries_until_the_clock_is_right(
    host: Callable[[str], Host],
) -> None:
    one = host("")
    deployment = one.start(x509pop=True)
    one.set(24 * 3600)
    one.until_more("Could not reattest agent", 1)
    assert one.count(NOT_VALID) > 0
    assert svids(deployment.api) == FIRST
    one.set(0)
    deployment.register("/second")
    assert svids(deployment.api) == BOTH


@pytest.mark.parametrize("days", [1, 3000])
def test_back_the_stream_goes_on_and_servers_that_are_not_valid_yet_are_refused_until_the_clock_is_right(
    host: Callable[[str], Host], days: int
) -> None:
    one = host("")
    deployment = one.start(x509pop=False)
    one.set(-days * 24 * 3600)
    deployment.register("/second")
    deployment.stop("server")
    deployment.start_server()
    one.until_more(NOT_VALID, 1)
    assert svids(deployment.api) == BOTH
    assert one.count(RENEWING) == 0
    one.set(0)
    deployment.register("/third")
    assert svids(deployment.api) == BOTH | {f"spiffe://{TRUST_DOMAIN}/third"}
    assert one.count("Node attestation was successful") == 1
