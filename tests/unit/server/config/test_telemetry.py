"""`telemetry { }` from text to settings, in the server's file."""

import pytest

from assay.config.fault import ConfigError
from assay.config.source import parse
from assay.telemetry.settings import PrometheusSettings, TelemetrySettings
from assay_server.config.load import load

SERVER = 'server { trust_domain = "example.org" data_dir = "/d" }\nplugins { NodeAttestor "join_token" {} }\n'


def settings(telemetry: str) -> TelemetrySettings:
    return load(parse(f"{SERVER}telemetry {{ {telemetry} }}", "f")).config.telemetry


def refusal(telemetry: str) -> str:
    with pytest.raises(ConfigError) as refused:
        settings(telemetry)
    return str(refused.value)


def test_everything_arrives() -> None:
    found = settings(
        """
        Prometheus { host = "0.0.0.0" port = 9988 }
        DogStatsd = [{ address = "localhost:8125" }]
        Statsd = [{ address = "localhost:1337" }, { address = "[::1]:8125" }]
        InMem {}
        MetricPrefix = "mine"
        EnableTrustDomainLabel = true
        EnableHostnameLabel = false
        AllowedPrefixes = ["mine.rpc"]
        BlockedPrefixes = ["mine"]
        AllowedLabels = ["status"]
        BlockedLabels = ["host"]
        """
    )
    assert found == TelemetrySettings(
        prometheus=PrometheusSettings("0.0.0.0", 9988),  # noqa: S104 - what the file says
        statsd=("localhost:1337", "[::1]:8125"),
        dogstatsd=("localhost:8125",),
        in_memory=True,
        prefix="mine",
        trust_domain_label=True,
        hostname_label=False,
        allowed_prefixes=("mine.rpc",),
        blocked_prefixes=("mine",),
        allowed_labels=("status",),
        blocked_labels=("host",),
    )


def test_nothing_is_on_unless_it_is_asked_for() -> None:
    assert settings("") == TelemetrySettings()
    assert not settings("").on


def test_collectors_may_be_blocks_as_hcl_has_them() -> None:
    assert settings('Statsd { address = "a:1" } Statsd { address = "b:2" }').statsd == ("a:1", "b:2")
    assert settings('Statsd { address = "a:1" }').statsd == ("a:1",)


def test_prometheus_without_a_host_is_for_this_one_only() -> None:
    assert settings("Prometheus { port = 9988 }").prometheus == PrometheusSettings("localhost", 9988)


def test_an_empty_list_of_labels_allows_none_as_in_spire() -> None:
    assert settings("AllowedLabels = []").allowed_labels == ()


@pytest.mark.parametrize(
    ("telemetry", "reason"),
    [
        ("Prometheus {}", "telemetry.Prometheus.port: must be configured"),
        ('Prometheus { port = 1 tls { cert_file = "c" key_file = "k" } }', "telemetry.Prometheus.tls: TLS"),
        ('Statsd = [{ address = "nowhere" }]', '"nowhere" is not an address'),
        ('Statsd = [{ adress = "a:1" }]', "unknown key"),
        ("prometheus { port = 1 }", 'did you mean "Prometheus"?'),
    ],
)
def test_bad_values_are_refused_by_name(telemetry: str, reason: str) -> None:
    assert reason in refusal(telemetry)
