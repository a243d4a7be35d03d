"""`telemetry { }` from text to settings, in the server's file."""

from pathlib import Path

import pytest

from assay.config.fault import ConfigError
from assay.config.source import parse
from assay.spiffeid import SpiffeId
from assay.telemetry.settings import OtlpSettings, PrometheusSettings, PrometheusTls, TelemetrySettings
from assay_server.config.load import load

SERVER = 'server { trust_domain = "example.org" data_dir = "/d" }\nplugins { NodeAttestor "join_token" {} }\n'


def settings(telemetry: str) -> TelemetrySettings:
    return load(parse(f"{SERVER}telemetry {{ {telemetry} }}", "f")).config.telemetry


def own(otlp: str) -> OtlpSettings | None:
    return load(parse(f"{SERVER}assay {{ telemetry {{ otlp {{ {otlp} }} }} }}", "f")).config.telemetry.otlp


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


def test_what_prometheus_is_shown_and_who_it_is() -> None:
    found = settings(
        'Prometheus { port = 1 tls { cert_file = "/c" key_file = "/k" client_ca_file = "/a" } }'
    ).prometheus
    assert found == PrometheusSettings(
        "localhost", 1, PrometheusTls(cert_file=Path("/c"), key_file=Path("/k"), client_ca_file=Path("/a"))
    )
    found = settings(
        'Prometheus { port = 1 tls { use_spire_svid = true authorized_spiffe_ids = ["spiffe://a/b"] } }'
    ).prometheus
    authorized = (SpiffeId.parse("spiffe://a/b"),)
    assert found == PrometheusSettings("localhost", 1, PrometheusTls(use_svid=True, authorized=authorized))


def test_an_empty_list_of_labels_allows_none_as_in_spire() -> None:
    assert settings("AllowedLabels = []").allowed_labels == ()


@pytest.mark.parametrize(
    ("telemetry", "reason"),
    [
        ("Prometheus {}", "telemetry.Prometheus.port: must be configured"),
        ("Prometheus { port = 1 tls {} }", "tls: cert_file and key_file must both be configured unless use_spire_svid"),
        ('Prometheus { port = 1 tls { cert_file = "c" } }', "tls: cert_file and key_file must both be configured"),
        (
            'Prometheus { port = 1 tls { use_spire_svid = true key_file = "k" } }',
            "telemetry.Prometheus.tls: cert_file and key_file cannot be configured when use_spire_svid is enabled",
        ),
        (
            'Prometheus { port=1 tls { use_spire_svid=true client_ca_file="c" authorized_spiffe_ids="spiffe://a/b" } }',
            "tls: client_ca_file cannot be configured with authorized_spiffe_ids",
        ),
        (
            'Prometheus { port = 1 tls { use_spire_svid = true authorized_spiffe_ids = ["a"] } }',
            "telemetry.Prometheus.tls.authorized_spiffe_ids",
        ),
        ('M3 = [{ address = "localhost:9000" env = "prod" }]', "telemetry.M3: no library that is kept up"),
        ('Statsd = [{ address = "nowhere" }]', '"nowhere" is not an address'),
        ('Statsd = [{ adress = "a:1" }]', "unknown key"),
        ("prometheus { port = 1 }", 'did you mean "Prometheus"?'),
    ],
)
def test_bad_values_are_refused_by_name(telemetry: str, reason: str) -> None:
    assert reason in refusal(telemetry)


def test_a_collector_of_opentelemetry_arrives() -> None:
    assert own('endpoint = "http://localhost:4318/"') == OtlpSettings(endpoint="http://localhost:4318")
    assert own(
        """
        endpoint = "https://collector.test:4318/otlp"
        metrics = false
        sampling_ratio = 0.25
        metrics_interval = "10s"
        headers = { Authorization = "Bearer x" }
        ca_file = "/ca"
        cert_file = "/c"
        key_file = "/k"
        """
    ) == OtlpSettings(
        endpoint="https://collector.test:4318/otlp",
        metrics=False,
        sampling_ratio=0.25,
        metrics_interval=10,
        headers=(("Authorization", "Bearer x"),),
        ca_file=Path("/ca"),
        cert_file=Path("/c"),
        key_file=Path("/k"),
    )


@pytest.mark.parametrize(
    ("otlp", "reason"),
    [
        ("", "assay.telemetry.otlp.endpoint: must be configured"),
        ('endpoint = "localhost:4318"', "is not the URL of a collector"),
        ('endpoint = "http://me:secret@a:4318"', "must not hold a password"),
        ('endpoint = "http://a" sampling_ratio = 1.5', "otlp.sampling_ratio"),
        ('endpoint = "http://a" cert_file = "c"', "cert_file and key_file must both be configured, or neither"),
        ('endpoint = "http://a" metrics = false traces = false', "nothing would be sent"),
        ('endpoint = "http://a" timeout = 1', "unknown key"),
    ],
)
def test_a_collector_that_cannot_be_sent_to_is_refused(otlp: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        own(otlp)
    assert reason in str(refused.value)
    assert "secret@" not in str(refused.value)
