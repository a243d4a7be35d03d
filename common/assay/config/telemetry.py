"""`telemetry { }` as both daemons take it: SPIRE's keys."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from assay.clock import SystemClock
from assay.config.address import host_port
from assay.config.document import Document, KeyPath
from assay.config.fault import Fault
from assay.config.fields import FilePath, Identities, Port, PositiveSeconds, Section, Texts, as_list
from assay.config.notbuilt import NotBuilt
from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.telemetry.settings import OtlpSettings, PrometheusSettings, PrometheusTls, TelemetrySettings

SECTIONS: tuple[KeyPath, ...] = (
    ("telemetry",), ("telemetry", "Prometheus"), ("telemetry", "Prometheus", "tls"), ("telemetry", "InMem"),
)  # fmt: skip

OTLP_SECTIONS: tuple[KeyPath, ...] = (
    ("assay", "telemetry"), ("assay", "telemetry", "otlp"), ("assay", "telemetry", "otlp", "headers"),
)  # fmt: skip

NOT_BUILT: dict[KeyPath, NotBuilt] = {
    ("telemetry", "M3"): NotBuilt(
        "no library that is kept up speaks M3's protocol from Python, so no metrics would arrive; send them by Statsd, "
        "or by assay.telemetry.otlp to a collector that writes to M3"
    ),
}


def _address(text: str) -> str:
    try:
        host_port(text)
    except InvalidArgumentError as error:
        raise ValueError(str(error)) from None
    return text


def _collector(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise ValueError(f'"{text}" is not the URL of a collector, such as http://localhost:4318')
    if "@" in url.netloc:
        raise ValueError("must not hold a password: URLs are logged; say it in headers")
    return text


Address = Annotated[str, AfterValidator(_address)]
CollectorUrl = Annotated[str, AfterValidator(_collector)]


class PrometheusTlsSection(Section):
    """`telemetry { Prometheus { tls { } } }`."""

    cert_file: FilePath | None = None
    """The listener's certificate with its intermediates (PEM)."""
    key_file: FilePath | None = None
    """Its key (PEM)."""
    client_ca_file: FilePath | None = None
    """Take only clients whose certificate one of these authorities (PEM) has signed."""
    use_spire_svid: bool = False
    """Present the daemon's own X.509-SVID in place of those files."""
    authorized_spiffe_ids: Identities = ()
    """Take only clients with an X.509-SVID of one of these IDs, by their trust domain's bundle."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.use_spire_svid and (self.cert_file or self.key_file):
            raise ValueError("cert_file and key_file cannot be configured when use_spire_svid is enabled")
        if not self.use_spire_svid and not (self.cert_file and self.key_file):
            raise ValueError("cert_file and key_file must both be configured unless use_spire_svid is enabled")
        if self.authorized_spiffe_ids and self.client_ca_file:
            raise ValueError("client_ca_file cannot be configured with authorized_spiffe_ids")
        return self

    def value(self) -> PrometheusTls:
        """As the listener takes it."""
        return PrometheusTls(
            cert_file=self.cert_file,
            key_file=self.key_file,
            client_ca_file=self.client_ca_file,
            use_svid=self.use_spire_svid,
            authorized=self.authorized_spiffe_ids,
        )


class PrometheusSection(Section):
    """`telemetry { Prometheus { } }`."""

    host: str = "localhost"
    """The address that Prometheus comes to."""
    port: Port
    """Its TCP port."""
    tls: PrometheusTlsSection | None = None

    def value(self) -> PrometheusSettings:
        """As the listener takes it."""
        return PrometheusSettings(self.host or "localhost", self.port, self.tls.value() if self.tls else None)


class StatsdSection(Section):
    """One of `Statsd` or of `DogStatsd`."""

    address: Address
    """The collector, as `host:port`; UDP."""


class InMemSection(Section):
    """`telemetry { InMem { } }`: there is nothing to set."""


Collectors = Annotated[tuple[StatsdSection, ...], BeforeValidator(as_list)]


class OtlpSection(Section):
    """`assay { telemetry { otlp { } } }`."""

    endpoint: CollectorUrl
    """The OpenTelemetry collector, such as `http://localhost:4318`; `/v1/metrics` and `/v1/traces` follow."""
    metrics: bool = True
    """Send metrics."""
    traces: bool = True
    """Send traces."""
    sampling_ratio: float = Field(default=1.0, ge=0, le=1)
    """Which part of the traces that begin here is sent; those of callers are sent as the callers say."""
    metrics_interval: PositiveSeconds = 60
    """How often metrics are sent."""
    headers: dict[str, str] = Field(default={}, repr=False)
    """Sent with everything, such as `{ Authorization = "Bearer ..." }`."""
    ca_file: FilePath | None = None
    """Whom to trust the collector by (PEM); the machine's authorities if not set."""
    cert_file: FilePath | None = None
    """The certificate to show the collector (PEM)."""
    key_file: FilePath | None = None
    """Its key (PEM)."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file must both be configured, or neither")
        if not (self.metrics or self.traces):
            raise ValueError("metrics and traces are both switched off: nothing would be sent")
        return self

    def value(self) -> OtlpSettings:
        """As the sender takes it."""
        return OtlpSettings(
            endpoint=self.endpoint.rstrip("/"),
            traces=self.traces,
            metrics=self.metrics,
            sampling_ratio=self.sampling_ratio,
            metrics_interval=self.metrics_interval,
            headers=tuple(self.headers.items()),
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
        )


class OwnTelemetrySection(Section):
    """`assay { telemetry { } }`: where SPIRE sends nothing."""

    otlp: OtlpSection | None = None


class TelemetrySection(Section):
    """`telemetry { }`."""

    Prometheus: PrometheusSection | None = None
    Statsd: Collectors = ()
    """Collectors that metrics are sent to: `[{ address = "host:port" }]`."""
    DogStatsd: Collectors = ()
    """Likewise, with labels as tags."""
    InMem: InMemSection | None = None
    """Keep the metrics and write them to the log on `SIGUSR1`."""
    MetricPrefix: str = ""
    """What every name begins with; `spire_server` or `spire_agent` if empty."""
    EnableTrustDomainLabel: bool = False
    """Label everything with the trust domain."""
    EnableHostnameLabel: bool = True
    """Label everything with this host's name."""
    AllowedPrefixes: Texts = ()
    """Send what begins with these although a shorter one of `BlockedPrefixes` fits."""
    BlockedPrefixes: Texts = ()
    """Do not send what begins with these, such as `spire_server.datastore`."""
    AllowedLabels: Texts | None = None
    """Send no other labels than these; all of them if not set."""
    BlockedLabels: Texts = ()
    """Do not send these labels."""

    def value(self, own: OwnTelemetrySection) -> TelemetrySettings:
        """As the metrics' maker takes it, with what there is of ours."""
        return TelemetrySettings(
            prometheus=self.Prometheus.value() if self.Prometheus else None,
            statsd=tuple(one.address for one in self.Statsd),
            dogstatsd=tuple(one.address for one in self.DogStatsd),
            in_memory=self.InMem is not None,
            otlp=own.otlp.value() if own.otlp else None,
            prefix=self.MetricPrefix,
            trust_domain_label=self.EnableTrustDomainLabel,
            hostname_label=self.EnableHostnameLabel,
            allowed_prefixes=self.AllowedPrefixes,
            blocked_prefixes=self.BlockedPrefixes,
            allowed_labels=self.AllowedLabels,
            blocked_labels=self.BlockedLabels,
        )


def telemetry_faults(document: Document, settings: TelemetrySettings) -> Iterator[Fault]:
    """What only a look at files and libraries shows: each would keep the daemon from starting."""
    tls = settings.prometheus.tls if settings.prometheus is not None else None
    if tls is not None:
        from assay.telemetry.tls import ScrapeTls  # noqa: PLC0415 - not loaded to read a configuration

        try:
            ScrapeTls(tls, SystemClock())
        except FailedPreconditionError as error:
            yield document.fault(("telemetry", "Prometheus", "tls"), str(error))
    if settings.otlp is not None and find_spec("opentelemetry") is None:
        yield document.fault(("assay", "telemetry", "otlp"), 'needs libraries: pip install "assay[otlp]"')
