"""The metrics of a daemon put together from its settings: sinks are loaded only when they are asked for."""

import asyncio
import socket
import uuid
from collections.abc import Callable, Iterable
from importlib.metadata import version as installed
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from assay.clock import Clock
from assay.errors import FailedPreconditionError
from assay.spiffeid import TrustDomain
from assay.telemetry.emitter import Emitter, Sink
from assay.telemetry.metrics import OFF, Metrics
from assay.telemetry.runtime import runtime_gauges
from assay.telemetry.settings import OtlpSettings, PrometheusSettings, TelemetrySettings

if TYPE_CHECKING:  # loaded where it is configured
    from assay.telemetry.exporter import Wrap
    from assay.telemetry.otlp import Otlp
    from assay.telemetry.tls import Own, ScrapeTls
    from assay.telemetry.tracing import Tracer

log = structlog.get_logger(__name__)

UPTIME_SECONDS = 10.0


class Telemetry:
    """Metrics that go where the settings say, from `open` to `close`.

    Raises:
        FailedPreconditionError: a port is taken, a file cannot be used, or a library is not there.
    """

    def __init__(
        self, settings: TelemetrySettings, *, prefix: str, trust_domain: TrustDomain, version: str, clock: Clock
    ) -> None:
        self._clock = clock
        self._tls: ScrapeTls | None = None
        self._closers: list[Callable[[], object]] = []
        self._lines: Callable[[], Iterable[str]] = tuple
        self._began = monotonic()
        self.on = settings.on
        self.metrics: Metrics = OFF
        self.tracer: Tracer | None = None
        if not self.on:
            return
        host = socket.gethostname()
        sinks = self._sinks(settings)
        if settings.otlp is not None:
            otlp = self._otlp(settings.otlp, _identity(prefix, version, host, trust_domain))
            self.tracer = otlp.tracer
            sinks += [otlp.sink] if otlp.sink is not None else []
        if sinks:
            self.metrics = Emitter(sinks, settings, prefix=prefix, trust_domain=trust_domain.name, host=host)
        self.metrics.gauge(("started",), 1, (("version", version), ("trust_domain_id", trust_domain.name)))

    async def run(self) -> None:
        """Say how long the daemon runs and what it uses, every ten seconds until cancelled."""
        while True:
            self.metrics.gauge(("uptime_in_ms",), int((monotonic() - self._began) * 1000))
            for key, value in runtime_gauges():
                self.metrics.gauge(key, value)
            await self._clock.sleep(UPTIME_SECONDS)

    def identify(self, own: "Own") -> None:
        """Have the listener present, and know its clients by, what the daemon has come to know."""
        if self._tls is not None:
            self._tls.own = own

    async def reread(self) -> Callable[[], None]:
        """Read anew the files that the listener uses; what is returned takes over what they say.

        Raises:
            FailedPreconditionError: one cannot be used.
        """
        return _nothing if self._tls is None else await asyncio.to_thread(self._tls.reread)

    def dumping(self, ask: Callable[[], object]) -> Callable[[], None]:
        """What SIGUSR1 means to SPIRE's operators: to do `ask`, which reads the configuration again, and to `dump`."""

        def signalled() -> None:
            ask()
            self.dump()

        return signalled

    def dump(self) -> None:
        """Write what is in memory to the log."""
        for line in self._lines():
            log.info(line)

    async def close(self) -> None:
        """Send what waits, and stop listening."""
        for close in reversed(self._closers):
            await asyncio.to_thread(close)

    def _sinks(self, settings: TelemetrySettings) -> list[Sink]:
        sinks: list[Sink] = []
        if settings.dogstatsd or settings.statsd:
            sinks += self._statsd(settings)
        if settings.in_memory:
            sinks.append(self._in_memory())
        if settings.prometheus is not None:
            sinks.append(self._prometheus(settings.prometheus))
        return sinks

    def _statsd(self, settings: TelemetrySettings) -> list[Sink]:
        try:
            from assay.telemetry.statsd import StatsdSink  # noqa: PLC0415 - only where it is configured
        except ModuleNotFoundError as error:
            raise FailedPreconditionError(
                f'telemetry.Statsd and telemetry.DogStatsd need the library "{error.name}"',
                hint='install it: pip install "assay[statsd]"',
            ) from None
        sinks = [StatsdSink(address, tags=True) for address in settings.dogstatsd]
        sinks += [StatsdSink(address, tags=False) for address in settings.statsd]
        self._closers += [sink.close for sink in sinks]
        return [*sinks]

    def _otlp(self, settings: OtlpSettings, identity: dict[str, str]) -> "Otlp":
        try:
            from assay.telemetry.otlp import Otlp  # noqa: PLC0415 - likewise
        except ModuleNotFoundError as error:
            raise FailedPreconditionError(
                f'assay.telemetry.otlp needs the library "{error.name}"', hint='install it: pip install "assay[otlp]"'
            ) from None
        otlp = Otlp(settings, identity)
        log.info("Starting OpenTelemetry exporter", endpoint=settings.endpoint)
        self._closers.append(otlp.close)
        return otlp

    def _in_memory(self) -> Sink:
        from assay.telemetry.inmem import InMemorySink  # noqa: PLC0415 - likewise

        sink = InMemorySink()
        self._lines = sink.lines
        return sink

    def _prometheus(self, settings: PrometheusSettings) -> Sink:
        from assay.telemetry.exporter import Exporter  # noqa: PLC0415 - likewise
        from assay.telemetry.prometheus import PrometheusSink  # noqa: PLC0415 - likewise

        host, port = settings.host, settings.port
        if host != "localhost":
            log.warning(
                "Prometheus metrics are open to the network. Please ensure access to this port is tightly controlled"
            )
        sink = PrometheusSink()
        exporter = Exporter(sink.render, host, port, self._wrap(settings))
        log.info("Starting prometheus exporter", host=host, port=port)
        exporter.start()
        self._closers.append(exporter.close)
        return sink

    def _wrap(self, settings: PrometheusSettings) -> "Wrap | None":
        if settings.tls is None:
            return None
        from assay.telemetry.tls import ScrapeTls  # noqa: PLC0415 - likewise

        self._tls = ScrapeTls(settings.tls, self._clock)
        return self._tls.wrap


def _identity(prefix: str, version: str, host: str, trust_domain: TrustDomain) -> dict[str, str]:
    return {
        "service.name": prefix.replace("spire_", "assay-"),
        "service.version": version,
        "service.instance.id": str(uuid.uuid4()),
        "host.name": host,
        "spiffe.trust_domain": trust_domain.name,
    }


def _nothing() -> None:
    """Take over nothing."""


def telemetry_of(settings: TelemetrySettings, prefix: str, trust_domain: TrustDomain, clock: Clock) -> Telemetry:
    """A daemon's, whose names begin with `prefix`; raises as `Telemetry`."""
    # Looking the version up reads a file.
    ours = installed("assay") if settings.on else ""
    return Telemetry(settings, prefix=prefix, trust_domain=trust_domain, version=ours, clock=clock)
