"""`telemetry { }` as both daemons take it: SPIRE's keys."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from assay.config.address import host_port
from assay.config.document import KeyPath
from assay.config.fields import Port, Section, Texts, as_list
from assay.config.notbuilt import NotBuilt, warned
from assay.errors import InvalidArgumentError
from assay.telemetry.settings import PrometheusSettings, TelemetrySettings

SECTIONS: tuple[KeyPath, ...] = (("telemetry",), ("telemetry", "Prometheus"), ("telemetry", "InMem"))

NOT_BUILT: dict[KeyPath, NotBuilt] = {
    ("telemetry", "Prometheus", "tls"): NotBuilt("TLS for Prometheus is not built yet: metrics would go in the clear"),
    ("telemetry", "M3"): warned("M3 is not built: no metrics are sent to it"),
}


def _address(text: str) -> str:
    try:
        host_port(text)
    except InvalidArgumentError as error:
        raise ValueError(str(error)) from None
    return text


Address = Annotated[str, AfterValidator(_address)]


class PrometheusSection(Section):
    """`telemetry { Prometheus { } }`."""

    host: str = "localhost"
    """The address that Prometheus comes to."""
    port: Port
    """Its TCP port."""


class StatsdSection(Section):
    """One of `Statsd` or of `DogStatsd`."""

    address: Address
    """The collector, as `host:port`; UDP."""


class InMemSection(Section):
    """`telemetry { InMem { } }`: there is nothing to set."""


Collectors = Annotated[tuple[StatsdSection, ...], BeforeValidator(as_list)]


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

    def value(self) -> TelemetrySettings:
        """As the metrics' maker takes it."""
        prometheus = self.Prometheus
        return TelemetrySettings(
            prometheus=PrometheusSettings(prometheus.host or "localhost", prometheus.port) if prometheus else None,
            statsd=tuple(one.address for one in self.Statsd),
            dogstatsd=tuple(one.address for one in self.DogStatsd),
            in_memory=self.InMem is not None,
            prefix=self.MetricPrefix,
            trust_domain_label=self.EnableTrustDomainLabel,
            hostname_label=self.EnableHostnameLabel,
            allowed_prefixes=self.AllowedPrefixes,
            blocked_prefixes=self.BlockedPrefixes,
            allowed_labels=self.AllowedLabels,
            blocked_labels=self.BlockedLabels,
        )
