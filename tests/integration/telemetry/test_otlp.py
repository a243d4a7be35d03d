"""Both daemons beside an OpenTelemetry collector: one trace from a workload's call to the server's store."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest

from assay.testing.collector import Collector, Span
from assay.testing.deployment import Deployment, free_port
from assay.testing.operator import PATIENCE
from assay.workloadapi.wire import METADATA, SERVICE
from assay_proto.workloadapi import workloadapi_pb2 as pb

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
SECRET = re.compile(rb"eyJ[\w-]{8,}|PRIVATE KEY")


class Traced(Deployment):
    """Both daemons send to `endpoint`; the server keeps an audit trail as well."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        super().__init__(folder, server="audit_log_enabled = true")
        for name in ("server", "agent"):
            with (folder / f"{name}.conf").open("a") as conf:
                conf.write(f'assay {{ telemetry {{ otlp {{ endpoint = "{endpoint}" metrics_interval = "1s" }} }} }}\n')


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="assay-") as folder:
        yield Path(folder)


def fetch_jwt(deployment: Deployment, audience: str) -> None:
    """As a workload whose program is traced."""
    traceparent = ("traceparent", f"00-{TRACE}-{CALLER}-01")
    with grpc.insecure_channel(deployment.endpoint) as channel:
        fetch = channel.unary_unary(
            f"/{SERVICE}/FetchJWTSVID",
            pb.JWTSVIDRequest.SerializeToString,
            pb.JWTSVIDResponse.FromString,
        )
        fetch(pb.JWTSVIDRequest(audience=[audience]), metadata=(*METADATA, traceparent), timeout=PATIENCE)


def only(spans: list[Span]) -> Span:
    (span,) = spans
    return span


@dataclass(frozen=True)
class Told:
    """What a collector was told of two daemons by their end."""

    collector: Collector
    agent_id: str
    log: str

    def one(self, name: str, kind: str = "INTERNAL") -> Span:
        return only([span for span in self.collector.named(name) if span.kind == kind])


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    collector = Collector().start()
    with TemporaryDirectory(prefix="assay-") as folder:
        traced = Traced(Path(folder), collector.url)
        try:
            traced.start()
            entry_id = traced.register("/web")
            fetch_jwt(traced, "a")
            traced.cli("entry", "delete", "--entry-id", entry_id)
            agent_id = traced.agent_id()
            assert traced.stop("agent") == 0
            assert traced.stop("server") == 0
            yield Told(collector, agent_id, traced.log("server") + traced.log("agent"))
        finally:
            traced.close()
            collector.close()


def test_a_trace_goes_from_the_workload_to_the_servers_signature(told: Told) -> None:
    trace = {span.name: span for span in told.collector.spans if span.trace == TRACE}
    workload, upstream = trace[f"{SERVICE}/FetchJWTSVID"], "spire.api.server.svid.v1.SVID/NewJWTSVID"
    assert (workload.kind, workload.parent, workload.attributes["rpc.grpc.status_code"]) == ("SERVER", CALLER, 0)
    assert workload.attributes["assay.caller.kind"] == "process"
    assert trace["workload_api.workload_attestation"].parent == workload.id
    assert trace["workload_api.workload_attestor"].attributes == {"attestor": "unix"}
    client, server = told.one(upstream, "CLIENT"), told.one(upstream, "SERVER")
    assert (client.parent, server.parent) == (workload.id, client.id)
    assert client.resource["service.name"] == "assay-agent"
    assert server.resource["service.name"] == "assay-server"
    assert server.attributes.items() >= {
        "rpc.system": "grpc", "rpc.service": "spire.api.server.svid.v1.SVID", "rpc.method": "NewJWTSVID",
        "rpc.grpc.status_code": 0, "assay.caller.kind": "agent", "assay.caller.spiffe_id": told.agent_id,
    }.items()  # fmt: skip
    request_id = server.attributes["assay.request_id"]
    assert any("type=audit" in line and request_id in line for line in told.log.splitlines())
    assert trace["server_ca.sign.jwt_svid"].parent == server.id
    assert trace["rateLimit.svid.v1.svid.new_jwtsvid"].parent == server.id


def test_what_the_agent_does_by_itself_are_traces_that_the_server_has_a_part_in(told: Told) -> None:
    signed = told.one("manager.sync.fetch_svids_updates")
    batches = told.collector.named("spire.api.server.svid.v1.SVID/BatchNewX509SVID")
    assert signed.parent == ""
    assert {one.trace for one in batches} == {signed.trace}
    assert {one.kind: one.attributes.get("assay.request.items") for one in batches} == {"CLIENT": None, "SERVER": 1}
    attested = told.one("node.attestor.new_svid")
    assert told.one("spire.api.server.agent.v1.Agent/AttestAgent", "CLIENT").trace == attested.trace
    # The server does not know yet who attests, and begins a trace of its own.
    assert told.one("spire.api.server.agent.v1.Agent/AttestAgent", "SERVER").trace != attested.trace


def test_a_call_of_an_administrator_has_its_transactions_within_it(told: Told) -> None:
    created = told.one("spire.api.server.entry.v1.Entry/BatchCreateEntry", "SERVER")
    assert created.attributes["assay.caller.kind"] == "local"
    assert created.attributes["assay.request.items"] == 1
    written = only([one for one in told.collector.named("datastore.write") if one.parent == created.id])
    assert "registration_entry.create" in written.attributes["datastore.operations"]


def test_metrics_of_both_daemons_arrive_and_nothing_secret(told: Told) -> None:
    assert told.collector.metrics["spire_server.rpc.svid.v1.svid.new_jwtsvid"][0][1] == 1
    assert "spire_agent.workload_api.connection" in told.collector.metrics
    assert not any(SECRET.search(body) for body in told.collector.raw)
    assert not told.collector.named("grpc.health.v1.Health/Check")
    # Nor what the health check asks of the agent itself.
    assert all(span.parent for span in told.collector.named("workload_api.workload_attestation"))


def test_a_collector_that_is_away_costs_a_warning_and_nothing_else(folder: Path) -> None:
    port = free_port()
    traced = Traced(folder, f"http://127.0.0.1:{port}")
    lost = "Metrics and spans are lost: OpenTelemetry collector"
    try:
        traced.start()
        traced.register("/web")
        traced.until("server", lambda: lost in traced.log("server"))
        fetch_jwt(traced, "a")
        collector = Collector(port).start()
        traced.until("server", lambda: "takes metrics and spans again" in traced.log("server"))
        traced.until("server", lambda: "spire_server.started" in collector.metrics)
        assert traced.log("server").count(lost) == 1
        collector.hang = True
        began = time.monotonic()
        for name in ("agent", "server"):
            assert traced.stop(name) == 0
        assert time.monotonic() - began < 2 * 10
        assert "did not close in time" not in traced.log("server") + traced.log("agent")
        collector.close()
    finally:
        traced.close()


def test_a_library_that_is_not_there_is_named(folder: Path) -> None:
    Traced(folder, "http://127.0.0.1:1")
    (folder / "opentelemetry.py").write_text("raise ModuleNotFoundError('no', name='opentelemetry')\n")
    program = "from assay.cli.__main__ import main; main()"
    run = subprocess.run([sys.executable, "-c", program, "server", "run", "--config", "server.conf"],
                         cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)  # fmt: skip
    assert run.returncode == 1
    said = run.stdout.replace("\\", "")
    assert 'assay.telemetry.otlp needs the library "opentelemetry"' in said
    assert 'pip install "assay[otlp]"' in said
