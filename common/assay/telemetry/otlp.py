"""OpenTelemetry: metrics and spans on their way to a collector, by OTLP over HTTP.

The library sends from threads of its own. What a collector does not take waits in a queue that has an end.
"""

import logging
import re
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

import requests
import structlog
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from assay.rpc.status import Metadata
from assay.telemetry.emitter import Take
from assay.telemetry.metrics import Key, Labels
from assay.telemetry.settings import OtlpSettings
from assay.telemetry.tracing import Attributes, Kind, Value

log = structlog.get_logger(__name__)

# Spans that wait at most, and those sent at once: the library's own numbers, whatever the environment says.
QUEUE: Final = 2048
BATCH: Final = 512
# Seconds between two sendings of spans, those that one sending may take, and those that the last ones get.
SPANS_EVERY: Final = 5.0
PATIENCE: Final = 10.0
FLUSH: Final = 3.0

_KINDS = {Kind.INTERNAL: SpanKind.INTERNAL, Kind.SERVER: SpanKind.SERVER, Kind.CLIENT: SpanKind.CLIENT}
_NOT_A_NAME = re.compile(r"[^-_./a-zA-Z0-9]")
_LONGEST_NAME = 255


class Otlp:
    """What is sent to one collector, from now to `close`. `identity` says who sends it, in OpenTelemetry's names."""

    def __init__(self, settings: OtlpSettings, identity: Attributes) -> None:
        self._told = _Told()
        resource = Resource.create(dict(identity)).merge(OTELResourceDetector().detect())
        self._closers: list[Callable[[], object]] = []
        self._exporters: list[_Spans | _Metrics] = []
        self.sink = self._sink(settings, resource) if settings.metrics else None
        self.tracer = self._tracer(settings, resource) if settings.traces else None

    def close(self) -> None:
        """Send what waits, if that can be done in a moment; the threads do not keep the process from ending."""
        threads = [threading.Thread(target=close, name="otlp flush", daemon=True) for close in self._closers]
        for thread in threads:
            thread.start()
        end = monotonic() + FLUSH
        for thread in threads:
            thread.join(max(0.0, end - monotonic()))
        if any(thread.is_alive() for thread in threads):
            log.warning("OpenTelemetry collector does not take the last metrics and spans")
        self._told.end()
        for exporter in self._exporters:
            # Else one that waits to try again would do so for some seconds more.
            exporter.shutdown()  # pyright: ignore[reportUnknownMemberType] - the library's

    def _sink(self, settings: OtlpSettings, resource: Resource) -> "OtlpSink":
        exporter = _Metrics(self._told, settings)
        self._exporters.append(exporter)
        reader = PeriodicExportingMetricReader(
            exporter,
            export_interval_millis=settings.metrics_interval * 1000,
            export_timeout_millis=PATIENCE * 1000,
        )
        provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._closers.append(lambda: provider.shutdown(timeout_millis=FLUSH * 1000))
        return OtlpSink(provider)

    def _tracer(self, settings: OtlpSettings, resource: Resource) -> "OtlpTracer":
        sampler = ParentBased(TraceIdRatioBased(settings.sampling_ratio))
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        exporter = _Spans(self._told, settings)
        self._exporters.append(exporter)
        processor = BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=SPANS_EVERY * 1000,
            max_export_batch_size=BATCH,
        )
        provider.add_span_processor(processor)
        self._closers.append(provider.shutdown)
        return OtlpTracer(provider)


class OtlpSink:
    """Counters, gauges and histograms of the names that SPIRE's metrics have, with dots."""

    def __init__(self, provider: MeterProvider) -> None:
        self._meter = provider.get_meter("assay")

    def counter(self, key: Key, labels: Labels) -> Take:
        """A sum that grows."""
        counter, attributes = self._meter.create_counter(_name(key)), dict(labels)
        return lambda value: counter.add(value, attributes)

    def gauge(self, key: Key, labels: Labels) -> Take:
        """The last value."""
        gauge, attributes = self._meter.create_gauge(_name(key)), dict(labels)
        return lambda value: gauge.set(value, attributes)

    def summary(self, key: Key, labels: Labels) -> Take:
        """A histogram, of milliseconds where it is a call's elapsed time."""
        unit = "ms" if key[-1] == "elapsed_time" else ""
        histogram, attributes = self._meter.create_histogram(_name(key), unit), dict(labels)
        return lambda value: histogram.record(value, attributes)


class OtlpTracer:
    """Spans by the library's own notion of the current one, which follows tasks."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("assay")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self, name: str, attributes: Attributes, kind: Kind = Kind.INTERNAL, caller: Metadata | None = None
    ) -> Generator["_Span"]:
        """A span, current until it ends."""
        parent = None
        if caller is not None:
            # A context of its own: whatever is current here is not part of the caller's trace.
            parent = self._propagator.extract(_texts(caller), otel_context.Context())
        span = self._tracer.start_span(name, parent, _KINDS[kind], attributes)
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            yield _Span(span)
        finally:
            otel_context.detach(token)
            span.end()

    def carrier(self) -> Metadata:
        """`traceparent`, and `tracestate` if there is one (W3C Trace Context)."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return tuple(carrier.items())

    def current(self) -> "_Span":
        """The span that is current."""
        return _Span(trace.get_current_span())


class _Span:
    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def put(self, name: str, value: Value) -> None:
        self._span.set_attribute(name, value)

    def fail(self) -> None:
        # Without the error's text, which might say what a caller sent.
        self._span.set_status(StatusCode.ERROR)


class _Told(logging.Handler):
    """The library's complaints: the first one is a warning of ours, and the next one only when it went well between."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._failing = False
        self._over = False
        self._library = logging.getLogger("opentelemetry")
        self._library.addHandler(self)
        self._library.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._failing and not self._over:
            self._failing = True
            log.warning("Metrics and spans are lost: OpenTelemetry collector", error=record.getMessage())

    def well(self) -> None:
        """Something was taken."""
        if self._failing:
            self._failing = False
            log.info("OpenTelemetry collector takes metrics and spans again")

    def end(self) -> None:
        """Say no more: a thread may still have something to complain of."""
        self._over = True


def _collector(settings: OtlpSettings, signal: str) -> dict[str, Any]:
    """Where that signal goes, and how: what both exporters take."""
    return {
        "endpoint": f"{settings.endpoint}/v1/{signal}",
        "certificate_file": _text(settings.ca_file),
        "client_certificate_file": _text(settings.cert_file),
        "client_key_file": _text(settings.key_file),
        "headers": dict(settings.headers) or None,
        "timeout": PATIENCE,
        "compression": Compression.Gzip,
        "session": _session(settings),
    }


class _Spans(OTLPSpanExporter):
    def __init__(self, told: _Told, settings: OtlpSettings) -> None:
        self._told = told
        super().__init__(**_collector(settings, "traces"))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is SpanExportResult.SUCCESS:
            self._told.well()
        return result


class _Metrics(OTLPMetricExporter):
    def __init__(self, told: _Told, settings: OtlpSettings) -> None:
        self._told = told
        super().__init__(**_collector(settings, "metrics"))

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = PATIENCE * 1000, **kwargs: object
    ) -> MetricExportResult:
        result = super().export(metrics_data, timeout_millis, **kwargs)  # pyright: ignore[reportUnknownMemberType] - likewise
        if result is MetricExportResult.SUCCESS:
            self._told.well()
        return result


def _session(settings: OtlpSettings) -> requests.Session:
    session = requests.Session()
    # Else REQUESTS_CA_BUNDLE, which many machines have set, would win over the file that is configured.
    session.trust_env = settings.ca_file is None
    return session


def _texts(metadata: Metadata) -> dict[str, str]:
    return {name: value for name, value in metadata if isinstance(value, str)}


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _name(key: Key) -> str:
    # The library refuses other names, and MetricPrefix may be any text.
    name = _NOT_A_NAME.sub("_", ".".join(key))[:_LONGEST_NAME]
    return name if name[:1].isalpha() else f"m{name[1:]}"
