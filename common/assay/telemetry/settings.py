"""Where metrics go, checked; SPIRE's `telemetry { }`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Where Prometheus finds the metrics."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Addresses are `host:port`. `prefix` is empty for the daemon's own; `allowed_labels` None allows every label.

    A metric goes by the longest of the prefixes it begins with; one that begins with none is sent.
    """

    prometheus: PrometheusSettings | None = None
    statsd: tuple[str, ...] = ()
    dogstatsd: tuple[str, ...] = ()
    in_memory: bool = False
    prefix: str = ""
    trust_domain_label: bool = False
    hostname_label: bool = True
    allowed_prefixes: tuple[str, ...] = ()
    blocked_prefixes: tuple[str, ...] = ()
    allowed_labels: tuple[str, ...] | None = None
    blocked_labels: tuple[str, ...] = ()

    @property
    def on(self) -> bool:
        """Whether metrics go anywhere."""
        return bool(self.prometheus or self.statsd or self.dogstatsd or self.in_memory)
