"""An OpenTelemetry collector: takes OTLP over HTTP and keeps what it was sent, for tests to look at."""

import gzip
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage


@dataclass(frozen=True)
class Span:
    """One span; IDs in hexadecimal, `parent` empty where it begins a trace. `status` is 2 for an error."""

    name: str
    trace: str
    id: str
    parent: str
    kind: str
    status: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    """Listens on the loopback address from `start` to `close`. With `hang` it takes requests and answers none."""

    port: int = 0
    hang: bool = False
    tls: ssl.SSLContext | None = None
    status: int = 200
    spans: list[Span] = field(default_factory=list[Span])
    metrics: dict[str, list[tuple[dict[str, Any], float]]] = field(default_factory=dict[str, Any])
    kinds: dict[str, str] = field(default_factory=dict[str, str])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    raw: list[bytes] = field(default_factory=list[bytes])

    def start(self) -> Self:
        """Listen."""
        collector, self._over = self, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if collector.hang:
                    collector._over.wait()
                    return
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                if collector.status == 200:  # noqa: PLR2004 - HTTP's
                    collector.take(self.path, body, dict(self.headers))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.tls is not None else 'http'}://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Listen no more."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def named(self, name: str) -> list[Span]:
        """The spans of that name, in the order in which they came."""
        return [span for span in self.spans if span.name == name]

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Keep a request."""
        self.headers.append(headers)
        self.raw.append(body)
        if path == "/v1/traces":
            self._take_spans(ExportTraceServiceRequest.FromString(body))
        elif path == "/v1/metrics":
            self._take_metrics(ExportMetricsServiceRequest.FromString(body))

    def _take_spans(self, request: ExportTraceServiceRequest) -> None:
        for part in request.resource_spans:
            resource = _attributes(part.resource.attributes)
            self.spans += [
                Span(
                    one.name,
                    one.trace_id.hex(),
                    one.span_id.hex(),
                    one.parent_span_id.hex(),
                    SpanMessage.SpanKind.Name(one.kind).removeprefix("SPAN_KIND_"),
                    one.status.code,
                    _attributes(one.attributes),
                    resource,
                )
                for scope in part.scope_spans
                for one in scope.spans
            ]

    def _take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        for part in request.resource_metrics:
            for one in (one for scope in part.scope_metrics for one in scope.metrics):
                kind = one.WhichOneof("data")
                self.kinds[one.name] = str(kind)
                self.metrics[one.name] = [
                    (_attributes(point.attributes), point.count if kind == "histogram" else _number(point))
                    for point in getattr(one, str(kind)).data_points
                ]


def _number(point: Any) -> float:  # noqa: ANN401 - a message
    return float(getattr(point, point.WhichOneof("value")))


def _attributes(pairs: Any) -> dict[str, Any]:  # noqa: ANN401 - messages
    return {one.key: _value(one.value) for one in pairs}


def _value(value: Any) -> Any:  # noqa: ANN401 - a message
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
