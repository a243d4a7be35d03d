"""Where metrics go, checked; SPIRE's `telemetry { }`."""

from dataclasses import dataclass, field
from pathlib import Path

from assay.spiffeid import SpiffeId, TrustDomain


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusTls:
    """What the listener presents: the certificate of the files, or with `use_svid` the daemon's own.

    Clients have to present a certificate of an authority in `client_ca_file`, or be one of `authorized`, if either is
    given.
    """

    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    use_svid: bool = False
    authorized: tuple[SpiffeId, ...] = ()


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Where Prometheus finds the metrics; in the clear without `tls`."""

    host: str
    port: int
    tls: PrometheusTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpSettings:
    """An OpenTelemetry collector: the URL that `/v1/traces` and `/v1/metrics` follow, and what goes there.

    `sampling_ratio` is the part of the traces begun here that is sent, `metrics_interval` is in seconds. Headers may be
    secrets.
    """

    endpoint: str
    traces: bool = True
    metrics: bool = True
    sampling_ratio: float = 1.0
    metrics_interval: float = 60.0
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Addresses are `host:port`. `prefix` is empty for the daemon's own; `allowed_labels` None allows every label.

    A metric goes by the longest of the prefixes it begins with; one that begins with none is sent.
    """

    prometheus: PrometheusSettings | None = None
    statsd: tuple[str, ...] = ()
    dogstatsd: tuple[str, ...] = ()
    in_memory: bool = False
    otlp: OtlpSettings | None = None
    prefix: str = ""
    trust_domain_label: bool = False
    hostname_label: bool = True
    allowed_prefixes: tuple[str, ...] = ()
    blocked_prefixes: tuple[str, ...] = ()
    allowed_labels: tuple[str, ...] | None = None
    blocked_labels: tuple[str, ...] = ()

    @property
    def known(self) -> frozenset[TrustDomain]:
        """The trust domains whose authorities the listener needs."""
        tls = self.prometheus.tls if self.prometheus is not None else None
        return frozenset(one.trust_domain for one in tls.authorized) if tls is not None else frozenset()

    @property
    def on(self) -> bool:
        """Whether metrics or traces go anywhere."""
        return bool(self.prometheus or self.statsd or self.dogstatsd or self.in_memory or self.otlp)
