"""OpenTelemetry, with a collector that decodes what it is sent."""

import asyncio
import logging
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from assay.clock import SystemClock
from assay.crypto.keys import to_pem
from assay.errors import NotFoundError
from assay.spiffeid import TrustDomain
from assay.telemetry import otlp, tracing
from assay.telemetry.metrics import measured
from assay.telemetry.settings import OtlpSettings, TelemetrySettings
from assay.telemetry.telemetry import Telemetry
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.collector import Collector
from assay.testing.deployment import free_port

TD = TrustDomain("example.org")


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector().start()
    yield collector
    collector.close()


def telemetry(endpoint: str, **settings: object) -> Telemetry:
    found = TelemetrySettings(otlp=OtlpSettings(endpoint=endpoint, **settings), hostname_label=False)  # type: ignore[arg-type]
    return Telemetry(found, prefix="spire_server", trust_domain=TD, version="1.2.3", clock=FakeClock())


async def test_metrics_arrive_under_their_names_with_labels_as_attributes(collector: Collector) -> None:
    on = telemetry(collector.url)
    with measured(on.metrics, ("ca", "sign"), (("kind", "x509"),)):
        pass
    on.metrics.count(("ca", "sign"), 2, (("kind", "x509"), ("status", "OK")))
    on.metrics.gauge(("size",), 7)
    await on.close()
    labels = {"kind": "x509", "status": "OK"}
    assert collector.metrics["spire_server.ca.sign"] == [(labels, 3)]
    assert collector.metrics["spire_server.ca.sign.elapsed_time"] == [(labels, 1)]
    assert collector.metrics["spire_server.size"] == [({}, 7)]
    assert collector.kinds["spire_server.ca.sign.elapsed_time"] == "histogram"


async def test_spans_are_within_each_other_and_say_who_sent_them(collector: Collector) -> None:
    on = telemetry(collector.url, metrics=False)
    tracing.use(on.tracer)
    with tracing.span("outer", {"a": 1}), pytest.raises(NotFoundError), measured(on.metrics, ("inner",)):
        tracing.note("b", "c")
        raise NotFoundError("a secret")
    tracing.use(None)
    with tracing.span("of nobody"):
        pass
    await on.close()
    inner, outer = collector.spans
    assert (inner.name, outer.name) == ("inner", "outer")
    assert (inner.trace, inner.parent, outer.parent) == (outer.trace, outer.id, "")
    assert (inner.status, outer.status) == (2, 0)
    assert (inner.attributes, outer.attributes) == ({"b": "c"}, {"a": 1})
    assert outer.resource["service.name"] == "assay-server"
    assert outer.resource["service.version"] == "1.2.3"
    assert outer.resource["spiffe.trust_domain"] == "example.org"
    assert all(b"a secret" not in body for body in collector.raw)


async def test_tasks_that_run_beside_each_other_have_spans_of_their_own(collector: Collector) -> None:
    on = telemetry(collector.url, metrics=False)
    gate = asyncio.Event()

    async def work(name: str) -> None:
        with tracing.span(name):
            await gate.wait()
            with tracing.span(f"in {name}"):
                pass

    tracing.use(on.tracer)
    async with asyncio.TaskGroup() as group:
        for name in ("a", "b"):
            group.create_task(work(name))
        await asyncio.sleep(0)
        gate.set()
    tracing.use(None)
    await on.close()
    for name in ("a", "b"):
        ((outer,), (inner,)) = collector.named(name), collector.named(f"in {name}")
        assert inner.parent == outer.id


@pytest.mark.parametrize(("ratio", "sent"), [(0.0, 0), (1.0, 50)])
async def test_the_ratio_is_of_traces_that_begin_here(ratio: float, sent: int, collector: Collector) -> None:
    on = telemetry(collector.url, metrics=False, sampling_ratio=ratio)
    assert on.tracer is not None
    for _ in range(50):
        with on.tracer.span("mine", {}):
            pass
    theirs = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
    with on.tracer.span("theirs", {}, caller=theirs):
        assert str(on.tracer.carrier()[0][1]).startswith("00-0af7651916cd43dd8448eb211c80319c-")
    with on.tracer.span("unsampled", {}, caller=((theirs[0][0], theirs[0][1][:-1] + "0"),)):
        pass
    for broken in ("00-zz-1-01", "", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        with on.tracer.span("broken", {}, caller=(("traceparent", broken), ("traceparent-bin", b"\0"))):
            pass
    await on.close()
    assert len(collector.named("mine")) == sent
    (span,) = collector.named("theirs")
    assert (span.trace, span.parent) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert collector.named("unsampled") == []
    assert all(span.parent == "" for span in collector.named("broken"))


async def test_headers_go_with_everything_and_do_not_show(collector: Collector) -> None:
    on = telemetry(collector.url, headers=(("authorization", "Bearer s3cret"),))
    assert "s3cret" not in repr(OtlpSettings(endpoint="http://a", headers=(("authorization", "Bearer s3cret"),)))
    await on.close()
    assert collector.headers[0]["authorization"] == "Bearer s3cret"


async def test_a_collector_is_known_by_the_authorities_of_a_file(tmp_path: Path) -> None:
    authority = Authority(now=SystemClock().now())
    svid = authority.x509_svid(dns_names=["localhost"])
    assert svid.key is not None
    pem = tmp_path / "collector.pem"
    pem.write_bytes(ssl.DER_cert_to_PEM_cert(svid.chain[0]).encode() + to_pem(svid.key))
    (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(authority.root.der))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    collector = Collector(tls=context).start()
    endpoint = f"https://localhost:{collector.port}"
    await telemetry(endpoint, ca_file=tmp_path / "ca.pem").close()
    assert "spire_server.started" in collector.metrics
    collector.metrics.clear()
    with capture_logs() as log:
        await telemetry(endpoint).close()
    assert collector.metrics == {}
    assert log[1]["event"] == "Metrics and spans are lost: OpenTelemetry collector"
    collector.close()


async def test_a_collector_that_is_away_is_one_warning_and_a_bounded_queue() -> None:
    with capture_logs() as log:
        on = telemetry(f"http://127.0.0.1:{free_port()}")
        assert on.tracer is not None
        for _ in range(2 * otlp.QUEUE):
            with on.tracer.span("lost", {}):
                pass
        began = time.monotonic()
        await on.close()
        assert time.monotonic() - began < otlp.FLUSH + 2
    assert len([line for line in log if line["event"].startswith("Metrics and spans are lost")]) == 1


async def test_a_collector_that_does_not_answer_keeps_nobody_from_ending() -> None:
    collector = Collector(hang=True).start()
    on = telemetry(collector.url)
    assert on.tracer is not None
    with on.tracer.span("lost", {}):
        pass
    began = time.monotonic()
    with capture_logs() as log:
        await on.close()
    assert time.monotonic() - began < otlp.FLUSH + 2
    assert log[-1]["event"] == "OpenTelemetry collector does not take the last metrics and spans"
    collector.close()


def test_what_the_library_complains_of_is_said_again_when_it_went_well_between() -> None:
    told = otlp._Told()
    library = logging.getLogger("opentelemetry.sdk")
    with capture_logs() as log:
        for _ in range(3):
            library.warning("away")
        told.well()
        told.well()
        library.warning("away")
    told.end()
    assert [line["log_level"] for line in log] == ["warning", "info", "warning"]


def test_names_are_such_as_the_library_takes() -> None:
    assert otlp._name(("my prefix", "rpc", "é")) == "my_prefix.rpc._"
    assert otlp._name(("1st",)) == "mst"
    assert len(otlp._name(("a" * 300,))) == 255


def test_the_daemons_load_it_only_where_it_is_configured() -> None:
    program = "import assay_server.app, assay_agent.app, sys; print([m for m in sys.modules if 'opentelemetry' in m])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"
