"""Telemetry put together from settings."""

import asyncio
import socket
import subprocess
import sys
import urllib.request

import pytest
from structlog.testing import capture_logs

from assay.errors import FailedPreconditionError
from assay.spiffeid import TrustDomain
from assay.telemetry.metrics import OFF
from assay.telemetry.settings import PrometheusSettings, TelemetrySettings
from assay.telemetry.telemetry import Telemetry
from assay.testing.clock import FakeClock
from assay.testing.deployment import free_port
from assay.testing.metrics import Recorded
from assay.testing.wait import until

TD = TrustDomain("example.org")


def telemetry(settings: TelemetrySettings) -> Telemetry:
    return Telemetry(settings, prefix="spire_server", trust_domain=TD, version="1.2.3", clock=FakeClock())


async def test_off_is_off() -> None:
    off = telemetry(TelemetrySettings())
    assert (off.on, off.metrics) == (False, OFF)
    await off.close()


def test_a_server_loads_no_sink_by_itself() -> None:
    program = "import assay_server.app, sys; print({'prometheus_client', 'datadog', 'wsgiref'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "set()"


async def test_prometheus_is_served_and_taken_away() -> None:
    port = free_port()
    with capture_logs() as log:
        on = telemetry(TelemetrySettings(prometheus=PrometheusSettings("localhost", port), hostname_label=False))
    assert [line["event"] for line in log] == ["Starting prometheus exporter"]
    text = urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10).read().decode()  # noqa: ASYNC210 - ours
    assert 'spire_server_started{trust_domain_id="example_org",version="1_2_3"} 1.0' in text
    await on.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("localhost", port))


async def test_an_open_port_is_warned_of() -> None:
    with capture_logs() as log:
        on = telemetry(TelemetrySettings(prometheus=PrometheusSettings("127.0.0.1", free_port())))
    await on.close()
    assert "open to the network" in log[0]["event"]


async def test_a_port_that_is_taken_keeps_the_daemon_from_starting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs(), pytest.raises(FailedPreconditionError):
        telemetry(TelemetrySettings(prometheus=PrometheusSettings("127.0.0.1", taken.getsockname()[1])))


async def test_what_is_in_memory_comes_out_when_it_is_asked_for() -> None:
    on = telemetry(TelemetrySettings(in_memory=True, hostname_label=False))
    with capture_logs() as log:
        telemetry(TelemetrySettings()).dump()
        on.dump()
    assert [line["event"] for line in log] == ["[G] 'spire_server.started.1_2_3.example_org': 1.000"]
    await on.close()


async def test_collectors_get_what_waits_before_the_end() -> None:
    udp = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*udp) as plain, socket.socket(*udp) as dog:
        addresses: list[str] = []
        for one in (plain, dog):
            one.bind(("127.0.0.1", 0))
            one.settimeout(10)
            addresses.append(f"127.0.0.1:{one.getsockname()[1]}")
        on = telemetry(TelemetrySettings(statsd=(addresses[0],), dogstatsd=(addresses[1],), hostname_label=False))
        await on.close()
        assert plain.recv(1000) == b"spire_server.started.1_2_3.example_org:1|g\n"
        assert dog.recv(1000) == b"spire_server.started:1|g|#version:1_2_3,trust_domain_id:example_org\n"


async def test_uptime_is_said_as_often_as_spire_says_it() -> None:
    on = telemetry(TelemetrySettings(in_memory=True))
    metrics = on.metrics = Recorded()
    clock = on._clock
    assert isinstance(clock, FakeClock)
    task = asyncio.get_running_loop().create_task(on.run())
    await clock.wait_sleepers()
    clock.advance(9.9)
    said = len(metrics.taken)
    clock.advance(0.1)
    await until(lambda: len(metrics.taken) == 2 * said)
    values = {name: value for kind, name, _, value in metrics.taken if kind == "gauge"}
    assert values.keys() == {
        "uptime_in_ms",
        *(f"runtime.{one}" for one in ("alloc_bytes", "num_goroutines", "sys_bytes", "total_gc_runs")),
    }
    assert 2**20 < values["runtime.sys_bytes"] < 2**40
    assert values["runtime.num_goroutines"] >= 2
    task.cancel()
    await on.close()
