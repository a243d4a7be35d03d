"""Envoys that get certificates and bundles from the agent by SDS, as in examples/envoy, in mTLS by SPIFFE ID."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from assay.clock import SystemClock
from assay.testing.deployment import TRUST_DOMAIN, Deployment, free_port
from assay.testing.operator import PATIENCE, dialled
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2, bundle_pb2_grpc

if TYPE_CHECKING:
    from tests.conftest import Deployments
else:
    Deployments = object

EXAMPLE = Path(__file__).parents[2] / "examples" / "envoy"
SOCKET = "/tmp/spire-agent/public/api.sock"  # noqa: S108 - as the example has it
OTHER = "other.test"
CLIENT, UPSTREAM = f"spiffe://{TRUST_DOMAIN}/client", f"spiffe://{TRUST_DOMAIN}/upstream"
# An SVID every few seconds, the next CA after 45, and only that one after 90.
SHORT = 'ca_ttl = "90s"\ndefault_x509_svid_ttl = "15s"'
DELTA = {"api_type: GRPC": "api_type: DELTA_GRPC"}
FALLBACK = {"cluster: example}": "cluster: example, metadata: {disable_spiffe_cert_validation: true}}"}
# Each request makes a connection of its own, with the certificates of that moment.
RECONNECT = {"max_connection_duration: 30s": "max_requests_per_connection: 1"}


@dataclass(frozen=True)
class Answer:
    """What came back through both Envoys: who each is to the other, and until when its certificate is good."""

    status: int
    client: str = ""
    client_until: str = ""
    upstream: str = ""
    upstream_until: str = ""
    why: str = ""


class Service(BaseHTTPRequestHandler):
    """Says what the Envoy before it told of the caller."""

    def do_GET(self) -> None:
        body = json.dumps([self.headers["x-client-id"], self.headers["x-client-until"]]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the class above has it
        """Say nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    """The port of a plain HTTP service."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextmanager
def running(envoy: str, house: Deployment, name: str, changes: dict[str, str]) -> Iterator[Path]:
    """An Envoy with that file of the example, changed; where its log is."""
    text = (EXAMPLE / f"{name}.yaml").read_text()
    for old, new in ({SOCKET: str(house.api)} | changes).items():
        assert old in text, old
        text = text.replace(old, new)
    log = house.dir / f"envoy-{name}-{free_port()}.log"
    command = [envoy, "--config-yaml", text, "--use-dynamic-base-id", "--concurrency", "1"]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield log
        finally:
            process.kill()


@dataclass(frozen=True)
class Pair:
    """Two Envoys, one behind the other; `ask` the first."""

    port: int
    logs: tuple[Path, Path]

    def ask(self) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            body = response.read()
        except OSError:
            return Answer(0)
        finally:
            connection.close()
        if response.status != 200:
            return Answer(response.status, why=response.headers["x-upstream-failure"] or "")
        told = [response.headers[f"x-upstream-{what}"] for what in ("id", "until")]
        return Answer(200, *json.loads(body), *told)

    def wait(self) -> Answer:
        """The first answer of the service."""
        end = time.monotonic() + PATIENCE
        while (answer := self.ask()).status != 200:
            assert time.monotonic() < end, [log.read_text()[-3000:] for log in self.logs]
            time.sleep(0.05)
        return answer


class Pairs:
    """Starts pairs of Envoys in front of the service."""

    def __init__(self, stack: ExitStack, envoy: str, service: int) -> None:
        self._stack = stack
        self._envoy = envoy
        self._service = service

    def start(
        self, house: Deployment, changes: dict[str, str], *, far: Deployment | None = None, client: str = CLIENT
    ) -> Pair:
        """With `far` the upstream one lives there, in the other trust domain; `changes` are to both files.

        `client` is who the client's Envoy says it is; the other one waits for CLIENT.
        """
        port, mtls = free_port(), free_port()
        theirs = OTHER if far else TRUST_DOMAIN
        names = {
            "spiffe://example.org/upstream": f"spiffe://{theirs}/upstream",
            "spiffe://example.org/client": CLIENT,
        }
        upstream = names | changes | {"port_value: 8443": f"port_value: {mtls}", "8080": str(self._service)}
        downstream = names | {"spiffe://example.org/client": client} | changes | RECONNECT
        downstream |= {"port_value: 8443": f"port_value: {mtls}", "8081": str(port)}
        logs = [
            self._stack.enter_context(running(self._envoy, where, name, config))
            for where, name, config in ((far or house, "upstream", upstream), (house, "client", downstream))
        ]
        return Pair(port, (logs[0], logs[1]))


@pytest.fixture
def pairs(envoy: str, service: int) -> Iterator[Pairs]:
    with ExitStack() as stack:
        yield Pairs(stack, envoy, service)


@dataclass
class Load:
    """Asks without a pause, from `start` to `stop`."""

    pair: Pair
    answers: list[Answer] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def rotations(self, since: int = 0) -> int:
        """How many certificates of either side came after the first, of that answer on."""
        answers = self.answers[since:]
        return min(len({one.client_until for one in answers}), len({one.upstream_until for one in answers})) - 1

    def _run(self) -> None:
        while not self._over.is_set():
            self.answers.append(self.pair.ask())


def expiry(pem: bytes) -> float:
    """When the first of these certificates ends, in Unix seconds."""
    return min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(pem)).timestamp()


def test_no_request_fails_while_svids_and_the_ca_rotate(deployments: Deployments, pairs: Pairs) -> None:
    house = deployments(server=SHORT).start()
    house.register("/client")
    house.register("/upstream")
    loads = [Load(pairs.start(house, changes)) for changes in ({}, DELTA, FALLBACK)]
    for load in loads:
        load.pair.wait()
        load.start()
    try:
        first_ca_ends = expiry(house.operator.bundle())
        until(lambda: house.log("server").count('msg="X509 CA activated"') == 2)
        marks = [len(load.answers) for load in loads]
        until(lambda: SystemClock().now().timestamp() > first_ca_ends)
        # Of three certificates of each side two at least are the new CA's, and nobody trusts the old one any more.
        until(lambda: all(load.rotations(mark) >= 3 for load, mark in zip(loads, marks, strict=True)))
    finally:
        for load in loads:
            load.stop()
    for load in loads:
        assert {(one.status, one.client, one.upstream) for one in load.answers} == {(200, CLIENT, UPSTREAM)}
        assert load.rotations() > 10
    log = house.log("agent")
    assert all(f"Sending {method} response" in log for method in ("StreamSecrets", "DeltaSecrets"))
    assert not [word for word in ("Envoy reported errors", "rolled back", "not authorized") if word in log]


@pytest.mark.parametrize("changes", [{}, DELTA], ids=["stream", "delta"])
def test_trust_domains_trust_each_other_once_they_have_each_others_bundles(
    deployments: Deployments, pairs: Pairs, changes: dict[str, str]
) -> None:
    here, there = deployments().start(), deployments(trust_domain=OTHER).start()
    exchange(here, there)
    here.register("/client", federates_with=(OTHER,))
    there.register("/upstream", federates_with=(TRUST_DOMAIN,))
    everyone = pairs.start(here, changes | {"name: ROOTCA": "name: ALL"}, far=there)
    answer = everyone.wait()
    assert (answer.client, answer.upstream) == (CLIENT, f"spiffe://{OTHER}/upstream")
    own = pairs.start(here, changes, far=there)
    until(lambda: "CERTIFICATE_VERIFY_FAILED" in own.ask().why)
    # Who is not trusted any more is refused from the next connection on.
    with dialled(here.admin) as channel:
        request = bundle_pb2.BatchDeleteFederatedBundleRequest(
            trust_domains=[OTHER], mode=bundle_pb2.BatchDeleteFederatedBundleRequest.DISSOCIATE
        )
        bundle_pb2_grpc.BundleStub(channel).BatchDeleteFederatedBundle(request, timeout=PATIENCE)
    until(lambda: "CERTIFICATE_VERIFY_FAILED" in everyone.ask().why)


@pytest.mark.parametrize("changes", [{}, DELTA], ids=["stream", "delta"])
def test_who_is_not_registered_yet_is_served_as_soon_as_he_is_and_keeps_it(
    deployment: Deployment, pairs: Pairs, changes: dict[str, str]
) -> None:
    deployment.register("/upstream")
    pair = pairs.start(deployment, changes)
    refusal = 'workload is not authorized for the requested identities [\\"spiffe://example.test/client\\"]'
    until(lambda: refusal in deployment.log("agent"))
    assert pair.ask().status != 200
    entry = deployment.register("/client")
    assert pair.wait().client == CLIENT
    deployment.operator.delete(entry)
    until(lambda: deployment.log("agent").count(refusal) > 1)
    # An Envoy that is refused keeps what it has, until it expires.
    assert pair.ask().status == 200


def test_whose_id_is_another_is_refused(deployment: Deployment, pairs: Pairs) -> None:
    deployment.register("/stranger")
    deployment.register("/upstream")
    pair = pairs.start(deployment, {}, client=f"spiffe://{TRUST_DOMAIN}/stranger")
    until(lambda: "TLS_error" in pair.ask().why)


def exchange(*houses: Deployment) -> None:
    """Give each the other's bundle."""
    for one, other in (houses, houses[::-1]):
        with dialled(other.admin) as channel:
            bundle = bundle_pb2_grpc.BundleStub(channel).GetBundle(bundle_pb2.GetBundleRequest(), timeout=PATIENCE)
        with dialled(one.admin) as channel:
            request = bundle_pb2.BatchSetFederatedBundleRequest(bundle=[bundle])
            answer = bundle_pb2_grpc.BundleStub(channel).BatchSetFederatedBundle(request, timeout=PATIENCE)
        assert [one.status.code for one in answer.results] == [0]


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 150
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)
