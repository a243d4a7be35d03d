import json
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from assay.config.check import Override
from assay.config.fault import ConfigError
from assay.config.health import HealthSettings
from assay.config.logging import LogSettings
from assay.config.source import parse, read
from assay.keymanager.base import KeyType
from assay.spiffeid import SpiffeId, TrustDomain
from assay.telemetry.settings import PrometheusSettings, TelemetrySettings
from assay_server.config import CaSubject, ServerConfig
from assay_server.config.load import WITHOUT_FILE, LoadedServer, load
from assay_server.config.schema import FLAGS, ServerSection
from assay_server.config.tasks import TaskSettings
from assay_server.model.rates import Rates

EXAMPLES = Path(__file__).parents[4] / "examples" / "config"

LEAST = 'server {\n trust_domain = "example.org"\n data_dir = "/d"\n%s\n}\n%s'


def loaded(server: str = "", rest: str = "") -> LoadedServer:
    return load(parse(LEAST % (server, rest), "f"))


def config(server: str = "", rest: str = "") -> ServerConfig:
    return loaded(server, rest).config


def refusal(server: str = "", rest: str = "") -> list[str]:
    with pytest.raises(ConfigError) as refused:
        loaded(server, rest)
    return [str(fault) for fault in refused.value.faults]


def test_the_least_there_can_be_gets_spires_defaults() -> None:
    assert config() == ServerConfig(
        trust_domain=TrustDomain("example.org"),
        data_dir=Path("/d"),
        bind_address="0.0.0.0",  # noqa: S104 - the default
        bind_port=8081,
        socket_path=Path("/tmp/spire-server/private/api.sock"),  # noqa: S108 - the default
        datastore_path=Path("/d/datastore.sqlite3"),
        key_manager=config().key_manager,
        node_attestors=(),
        ca_ttl=86400,
        default_x509_svid_ttl=3600,
        default_jwt_svid_ttl=300,
        agent_ttl=3600,
        ca_key_type=KeyType.EC_P256,
        jwt_key_type=KeyType.EC_P256,
        prune_attested_nodes_batch_size=1000,
        log=LogSettings("info", "text", None, source_location=False),
    )
    assert (config().key_manager.name, config().key_manager.data) == ("disk", {"keys_path": "/d/keys.json"})


def test_every_key_arrives() -> None:
    found = config(
        """
        bind_address = "[::1]"
        bind_port = "9090"
        socket_path = "/s"
        ca_ttl = "48h"
        default_x509_svid_ttl = "2h"
        default_jwt_svid_ttl = "10m"
        agent_ttl = "3h"
        ca_key_type = "rsa-4096"
        jwt_key_type = "ec-p384"
        ca_subject { country = ["US", "CA"] organization = "Example" common_name = "cn" }
        jwt_issuer = "https://issuer.example"
        admin_ids = ["spiffe://example.org/admin"]
        ratelimit { attestation = false signing = false }
        proxy_protocol_trusted_cidrs = ["10.1.0.0/8", "::/0"]
        prune_attested_nodes_expired_for = "720h"
        prune_attested_nodes_batch_size = 5
        prune_tofu_nodes = true
        log_level = "WARN"
        log_format = "json"
        log_file = "/l"
        log_source_location = true
        audit_log_enabled = true
        experimental { feature_flags = ["wit-svid"] wit_key_type = "ec-p384" wit_issuer = "example.org" }
        """,
        """
        plugins { KeyManager "memory" {} NodeAttestor "join_token" {} }
        telemetry { Prometheus { port = 9988 } }
        health_checks { listener_enabled = true }
        assay {
            max_message_bytes = 100000 connections_per_caller = 8 anonymous_connections = 9 audit_log_file = "/a"
            ratelimit { attestation = 2 x509_signing = 3 jwt_signing = 4 wit_signing = 5 publishing = 6 status = 7 }
            token_endpoint { issuer = "https://issuer.example" bind_address = "127.0.0.1" bind_port = 9443 }
            tasks {
                max_duration = "2h" max_ai_agent_duration = "10m" keep_ended = "24h"
                staleness {
                    non_consequential = "10m" consequential_read = 0 consequential_write = "5s" irreversible = "0s"
                }
            }
        }
        """,
    )
    untouched = {"trust_domain", "data_dir", "datastore_path"}
    least = config()
    same = {one.name for one in fields(found) if getattr(found, one.name) == getattr(least, one.name)}
    assert same == untouched
    bounds = {
        "non_consequential": 600, "consequential_read": 0, "consequential_write": 5, "irreversible": 0,
        "external_commitment": 0, "privileged_administration": 0,
    }  # fmt: skip
    assert found.tasks == TaskSettings(7200, 600, 24 * 3600, bounds)
    assert found.bind_address == "::1"
    assert (found.ca_ttl, found.default_x509_svid_ttl, found.default_jwt_svid_ttl, found.agent_ttl) == (
        172800, 7200, 600, 10800,
    )  # fmt: skip
    assert (found.ca_key_type, found.jwt_key_type) == (KeyType.RSA_4096, KeyType.EC_P384)
    assert (found.wit_svids, found.wit_key_type, found.wit_issuer) == (True, KeyType.EC_P384, "example.org")
    assert found.ca_subject == CaSubject(("US", "CA"), ("Example",), "cn")
    assert found.admin_ids == {SpiffeId(TrustDomain("example.org"), "/admin")}
    assert (found.prune_attested_nodes_expired_for, found.max_message_bytes) == (2592000, 100000)
    assert (found.connections_per_caller, found.anonymous_connections) == (8, 9)
    assert found.proxy_networks == (ip_network("10.0.0.0/8"), ip_network("::/0"))
    assert found.rates == Rates(
        attestation=None, x509_signing=None, jwt_signing=None, wit_signing=None, publishing=6, status=7
    )
    assert (found.audit_log, found.audit_log_file) == (True, Path("/a"))
    assert found.telemetry == TelemetrySettings(prometheus=PrometheusSettings("localhost", 9988))
    assert found.log == LogSettings("warning", "json", Path("/l"), source_location=True)


def test_rates_are_spires_unless_ours_say_otherwise() -> None:
    assert config().rates == Rates()
    rest = "assay { ratelimit { attestation = 2 x509_signing = 3 jwt_signing = 4 wit_signing = 5 } }"
    assert config(rest=rest).rates == Rates(attestation=2, x509_signing=3, jwt_signing=4, wit_signing=5)
    (fault,) = refusal(rest="assay { ratelimit { status = 0 } }")
    assert "assay.ratelimit.status" in fault


def test_what_is_not_said_follows_what_is() -> None:
    assert config('ca_key_type = "ec-p384"').jwt_key_type is KeyType.EC_P384
    assert config('default_x509_svid_ttl = "2h"').agent_ttl == 7200
    assert config('prune_attested_nodes_expired_for = "0s"').prune_attested_nodes_expired_for is None


def test_health_checks_have_spires_defaults() -> None:
    assert config().health == HealthSettings(False, "localhost", 80, "/live", "/ready")
    found = config(
        rest='health_checks { listener_enabled = true bind_address = "[::1]" bind_port = 8080 live_path = "" }'
    )
    assert found.health == HealthSettings(True, "::1", 8080, "/live", "/ready")


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ('connection_string = "x/y.sqlite3"', "x/y.sqlite3"),
        ('connection_string = "file:/a%20b.db?cache=shared"', "/a b.db"),
        ('database_type = "sqlite3"', "/d/datastore.sqlite3"),
        ('connection_string = "a?b"', "a?b"),
    ],
)
def test_the_store_is_where_the_plugin_says(data: str, path: str) -> None:
    assert config(rest=f'plugins {{ DataStore "sql" {{ plugin_data {{ {data} }} }} }}').datastore_path == Path(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ('database_type = "postgres"', "only database_type sqlite3 is built yet"),
        ('database_type "aws_postgres" { region = "x" }', "only database_type sqlite3 is built yet"),
        ('connection_string = ":memory:"', "the store needs a file"),
        ('connection_string = "file:x?mode=memory"', "the store needs a file"),
        ('ro_connection_string = "x"', "is a key of SPIRE's plugin that is not built yet"),
        ("disable_migration = true", "is a key of SPIRE's plugin that is not built yet"),
    ],
)
def test_a_store_that_is_not_built_is_refused(data: str, reason: str) -> None:
    (fault,) = refusal(rest=f'plugins {{ DataStore "sql" {{ plugin_data {{ {data} }} }} }}')
    assert reason in fault


@pytest.mark.parametrize(
    ("server", "key"),
    [
        ("disable_jwt_svids = true", "disable_jwt_svids"),
        ("experimental { require_pq_kem = true }", "experimental.require_pq_kem"),
        ("experimental { agent_spiffe_id_as_selector = true }", "experimental.agent_spiffe_id_as_selector"),
        (
            'experimental { auth_opa_policy_engine { local { rego_path = "x" } } }',
            "experimental.auth_opa_policy_engine",
        ),
    ],
)
def test_what_would_make_the_server_do_something_else_is_a_fault(server: str, key: str) -> None:
    (fault,) = refusal(server)
    assert fault.startswith(f"f:4: server.{key}: ")
    assert "not built" in fault


@pytest.mark.parametrize(
    ("server", "rest", "key"),
    [
        ('federation { federates_with "x" {} }', "", "server.federation"),
        ('max_attested_node_info_staleness = "5s"', "", "server.max_attested_node_info_staleness"),
        ("profiling_enabled = true", "", "server.profiling_enabled"),
        ('experimental { cache_reload_interval = "1s" }', "", "server.experimental.cache_reload_interval"),
        ("experimental { events_based_cache = true }", "", "server.experimental.events_based_cache"),
        (
            "",
            'plugins { DataStore "sql" { plugin_data { max_open_conns = 5 } } }',
            "plugins.DataStore.sql.plugin_data.max_open_conns",
        ),
    ],
)
def test_what_is_only_absent_is_a_warning(server: str, rest: str, key: str) -> None:
    (warning,) = loaded(server, rest).warnings
    assert warning.key == key


@pytest.mark.parametrize(
    ("server", "rest"),
    [
        ("audit_log_enabled = false", ""), ('max_attested_node_info_staleness = "0s"', ""), ("experimental {}", ""),
        ("proxy_protocol_trusted_cidrs = []", ""), ("", "telemetry {}"),
        ("", "health_checks { listener_enabled = false }"),
    ],
)  # fmt: skip
def test_what_asks_for_nothing_is_not_mentioned(server: str, rest: str) -> None:
    assert loaded(server, rest).warnings == ()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("NodeAttestor", "k8s_psat"), ("KeyManager", "aws_kms"), ("UpstreamAuthority", "disk"),
        ("Notifier", "k8sbundle"), ("CredentialComposer", "uniqueid"), ("BundlePublisher", "aws_s3"),
    ],
)  # fmt: skip
def test_plugins_of_spires_that_are_not_built_are_named(kind: str, name: str) -> None:
    (fault,) = refusal(rest=f'plugins {{ {kind} "{name}" {{ plugin_data {{}} }} }}')
    assert f"plugins.{kind}.{name}: is a plugin of SPIRE's that is not built yet" in fault


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ('ca_ttl = "0s"', "must be more than zero"),
        ('default_jwt_svid_ttl = "-1s"', "is negative"),
        ('default_x509_svid_ttl = "9999999h"', "292 years"),
        ("bind_port = 0", "1 to 65535"),
        ('admin_ids = ["example.org/x"]', "scheme is missing"),
        ("prune_attested_nodes_batch_size = 0", "greater than or equal to 1"),
        ('ca_key_type = "rsa-1024"', "must be one of ec-p256"),
        ('data_dir = "x"', "is set twice, first on line 3"),
    ],
)
def test_bad_values_are_refused_with_their_line(server: str, reason: str) -> None:
    (fault,) = refusal(server)
    assert fault.startswith("f:4: server.")
    assert reason in fault


@pytest.mark.parametrize("grave", ["irreversible", "external_commitment", "privileged_administration"])
def test_grave_actions_are_never_decided_on_old_knowledge(grave: str) -> None:
    (fault,) = refusal(rest=f'assay {{ tasks {{ staleness {{ {grave} = "1s" }} }} }}')
    assert f"assay.tasks.staleness.{grave}" in fault
    assert "must be 0" in fault


def test_old_knowledge_has_bounds_and_classes_have_names() -> None:
    (fault,) = refusal(rest='assay { tasks { staleness { non_consequential = "61m" } } }')
    assert "must be an hour at most" in fault
    (fault,) = refusal(rest='assay { tasks { staleness { consequental_read = "1s" } } }')
    assert 'did you mean "consequential_read"?' in fault
    assert dict(config().tasks.staleness) == {
        "non_consequential": 300, "consequential_read": 60, "consequential_write": 0, "irreversible": 0,
        "external_commitment": 0, "privileged_administration": 0,
    }  # fmt: skip


def test_message_sizes_have_bounds() -> None:
    (fault,) = refusal(rest="assay { max_message_bytes = 10 }")
    assert "assay.max_message_bytes" in fault
    (fault,) = refusal(rest="assay { max_mesage_bytes = 100000 }")
    assert 'did you mean "max_message_bytes"?' in fault


def test_flags_alone_are_enough_and_let_agents_in_by_token() -> None:
    given = [
        Override(("server", "trust_domain"), "--trust-domain", "example.org"),
        Override(("server", "data_dir"), "--data-dir", "/d"),
    ]
    found = load(WITHOUT_FILE, given).config
    assert found.trust_domain == TrustDomain("example.org")
    assert [plugin.name for plugin in found.node_attestors] == ["join_token"]


@pytest.mark.spec("ID-2.1.1-b")
def test_without_flags_it_is_said_which_are_needed() -> None:
    with pytest.raises(ConfigError) as refused:
        load(WITHOUT_FILE)
    assert [str(fault) for fault in refused.value.faults] == [
        "command line: server.trust_domain: must be configured, in the file or with --trust-domain",
        "command line: server.data_dir: must be configured, in the file or with --data-dir",
    ]


def test_every_flag_is_for_a_key_that_there_is() -> None:
    for section, key in FLAGS:
        assert section == "server"
        assert key in ServerSection.model_fields


@pytest.mark.parametrize("name", ["server.toml", "server.json"])
def test_the_examples_say_the_same_in_each_syntax(name: str) -> None:
    assert load(read(EXAMPLES / name)) == load(read(EXAMPLES / "server.conf"))
    assert load(read(EXAMPLES / name)).warnings == ()


def test_json_counts_as_json_whatever_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text((EXAMPLES / "server.json").read_text())
    assert load(read(path)) == load(read(EXAMPLES / "server.conf"))


def test_helm_writes_lists_where_hcl_has_blocks() -> None:
    document = {
        "server": [{"trust_domain": "example.org", "data_dir": "/d", "ratelimit": [{"signing": False}]}],
        "plugins": [{"NodeAttestor": [{"join_token": [{"plugin_data": [{}]}]}]}],
        "health_checks": [{"listener_enabled": False}],
    }
    found = load(parse(json.dumps(document), "f")).config
    assert (found.rates.jwt_signing, found.rates.attestation) == (None, 1)
    assert [plugin.name for plugin in found.node_attestors] == ["join_token"]


@pytest.mark.spec("STAB-2.3-b")
def test_wit_svids_are_off_unless_asked_for() -> None:
    assert not config().wit_svids
    assert not config("experimental { feature_flags = [] }").wit_svids
    assert config('experimental { feature_flags = ["wit-svid"] }').wit_svids


def test_the_key_of_wit_svids_is_of_the_cas_kind_unless_told_otherwise() -> None:
    assert config('ca_key_type = "rsa-2048"').wit_key_type is KeyType.RSA_2048
    assert config('ca_key_type = "rsa-2048" experimental { wit_key_type = "ec-p256" }').wit_key_type is KeyType.EC_P256


def test_an_unknown_feature_flag_is_a_fault() -> None:
    (fault,) = refusal('experimental { feature_flags = ["wit-svid", "forced_rotation"] }')
    assert fault == 'f:4: server.experimental.feature_flags: no feature flag "forced_rotation"; there is: wit-svid'


@pytest.mark.spec("WIT-3.7-a")
def test_an_issuer_that_openid_connect_would_look_up_is_warned_of() -> None:
    switch = 'feature_flags = ["wit-svid"]'
    (warning,) = loaded(f'experimental {{ {switch} wit_issuer = "https://issuer.example" }}').warnings
    assert str(warning).startswith("f:4: server.experimental.wit_issuer: a URL makes WIT-SVIDs look like")
    assert loaded(f'experimental {{ {switch} wit_issuer = "example.org" }}').warnings == ()
