from dataclasses import fields
from pathlib import Path

import pytest

from assay.config.check import Override
from assay.config.fault import ConfigError
from assay.config.health import HealthSettings
from assay.config.logging import LogSettings
from assay.config.plugin import Plugin
from assay.config.source import parse, read
from assay.keymanager.base import KeyType
from assay.spiffeid import TrustDomain
from assay_agent.config import AgentConfig
from assay_agent.config.load import WITHOUT_FILE, LoadedAgent, load
from assay_agent.config.schema import FLAGS
from assay_agent.config.settings import SdsSettings

EXAMPLES = Path(__file__).parents[4] / "examples" / "config"

LEAST = 'agent {\n trust_domain = "a"\n server_address = "h"\n server_port = 1\n%s\n}\n%s'
TRUST = 'trust_bundle_path = "b.pem"\n'


def loaded(agent: str = "", rest: str = "", trust: str = TRUST) -> LoadedAgent:
    return load(parse(LEAST % (trust + agent, rest), "f"))


def config(agent: str = "", rest: str = "", trust: str = TRUST) -> AgentConfig:
    return loaded(agent, rest, trust).config


def refusal(agent: str = "", rest: str = "", trust: str = TRUST) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        loaded(agent, rest, trust)
    return [str(fault) for fault in refused.value.faults]


def test_the_least_there_can_be_gets_spires_defaults() -> None:
    assert config() == AgentConfig(
        trust_domain=TrustDomain("a"),
        data_dir=Path(),
        server_address="h",
        server_port=1,
        socket_path=Path("/tmp/spire-agent/public/api.sock"),  # noqa: S108 - the default
        key_manager=Plugin("disk", {"directory": "."}),
        node_attestor=Plugin("join_token"),
        workload_attestors=(Plugin("unix"),),
        trust_bundle_path=Path("b.pem"),
        x509_svid_cache_max_size=1000,
        jwt_svid_cache_max_size=1000,
        sync_interval=5.0,
    )


def test_every_key_arrives() -> None:
    found = config(
        """
        data_dir = "/d"
        socket_path = "/run/s"
        admin_socket_path = "/run2/a"
        authorized_delegates = ["spiffe://a/d"]
        join_token = "t0ken"
        trust_bundle_format = "spiffe"
        allow_unauthenticated_verifiers = true
        allowed_foreign_jwt_claims = ["email"]
        workload_x509_svid_key_type = "rsa-2048"
        availability_target = "24h"
        x509_svid_cache_max_size = 5
        jwt_svid_cache_max_size = 6
        disable_workload_api = true
        log_selectors = ["unix:uid", "k8s"]
        sds {
            default_svid_name = "own"
            default_bundle_name = "null"
            default_all_bundles_name = "ROOTCA"
            disable_spiffe_cert_validation = true
        }
        experimental {
            sync_interval = "500ms"
            jwt_svid_cache_hit_timeout = "6s"
            ratelimit { fetch_x509_svid = 7 stream_secrets = 8 }
        }
        log_level = "DEBUG"
        log_format = "json"
        log_file = "/l"
        """,
        "health_checks { listener_enabled = true }\ntelemetry { InMem {} }\n"
        "assay { calls_per_user = 9 calls_at_once_per_user = 8 connections_per_user = 10 }\n"
        'plugins {\n KeyManager "memory" {}\n NodeAttestor "x509pop" { plugin_data { private_key_path = "k" } }\n'
        ' WorkloadAttestor "unix" { plugin_data { discover_workload_path = true } }\n'
        ' SVIDStore "disk" { plugin_data { directory = "d" } }\n}',
    )
    least = config()
    same = {one.name for one in fields(found) if getattr(found, one.name) == getattr(least, one.name)}
    assert same == {
        "trust_domain", "server_address", "server_port", "trust_bundle_path", "join_token_file", "insecure_bootstrap",
        "trust_bundle_url", "trust_bundle_unix_socket", "trust_bundle_spiffe_workload_api", "rebootstrap_mode",
        "rebootstrap_delay",
    }  # fmt: skip
    assert found.workload_x509_svid_key_type is KeyType.RSA_2048
    assert (found.availability_target, found.sync_interval) == (86400, 0.5)
    assert (found.calls_per_user, found.calls_at_once_per_user, found.connections_per_user) == (9, 8, 10)
    assert found.jwt_svid_cache_hit_timeout == 6
    assert found.method_rates == {
        "/SpiffeWorkloadAPI/FetchX509SVID": 7,
        "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets": 8,
    }
    assert (str(found.admin_socket_path), {str(one) for one in found.authorized_delegates}) == (
        "/run2/a",
        {"spiffe://a/d"},
    )
    assert found.log_selectors == ("unix:uid", "k8s")
    assert (found.x509_svid_cache_max_size, found.jwt_svid_cache_max_size) == (5, 6)
    assert found.sds == SdsSettings("own", "null", "ROOTCA", disable_spiffe_cert_validation=True)
    assert found.node_attestor == Plugin("x509pop", {"private_key_path": "k"})
    assert found.workload_attestors == (Plugin("unix", {"discover_workload_path": True}),)
    assert found.svid_stores == (Plugin("disk", {"directory": "d"}),)
    assert found.log == LogSettings("debug", "json", Path("/l"))
    assert found.key_manager == Plugin("memory")


def test_envoys_may_be_served_under_spires_names_under_others_or_not_at_all() -> None:
    assert config().sds == SdsSettings("default", "ROOTCA", "ALL", disable_spiffe_cert_validation=False)
    assert config('sds { default_bundle_name = "ALL" }').sds == SdsSettings(default_bundle_name="ALL")
    assert config("disable_sds_api = false").sds == SdsSettings()
    assert config('disable_sds_api = true\nsds { default_svid_name = "x" }').sds is None


def test_the_workload_api_is_served_unless_it_is_disabled() -> None:
    assert config().workload_api
    assert config("disable_workload_api = false").workload_api
    assert not config("disable_workload_api = true").workload_api


def test_the_admin_socket_may_lie_anywhere_else() -> None:
    for path in ("/run/admin/y", "/tmp/spire-agent/private/api.sock", "/tmp/spire-agent/publicity/y"):  # noqa: S108
        assert str(config(f'admin_socket_path = "{path}"').admin_socket_path) == path


def test_a_token_does_not_show() -> None:
    assert "t0ken" not in repr(loaded('join_token = "t0ken"'))
    assert config('join_token = "t0ken"').join_token == "t0ken"


def test_a_cache_size_of_nothing_is_the_default() -> None:
    assert config("x509_svid_cache_max_size = 0\njwt_svid_cache_max_size = 0") == config()


def test_the_agent_is_told_whom_to_trust() -> None:
    (fault,) = refusal(trust="")
    assert fault == (
        "f:1: agent.trust_bundle_path: trust_bundle_path, trust_bundle_url, or trust_bundle_spiffe_workload_api must "
        "be configured unless insecure_bootstrap is set; `assay bundle show` on the server prints the bundle"
    )


def test_health_checks_have_spires_defaults() -> None:
    assert config().health == HealthSettings(False, "localhost", 80, "/live", "/ready")
    found = config(
        rest='health_checks { listener_enabled = true bind_address = "[::1]" bind_port = 8080 live_path = "" }'
    )
    assert found.health == HealthSettings(True, "::1", 8080, "/live", "/ready")


@pytest.mark.parametrize(
    ("agent", "key", "two"),
    [
        ("insecure_bootstrap = true", "f:6: agent.insecure_bootstrap", "insecure_bootstrap or trust_bundle_path"),
        (
            'join_token = "x"\njoin_token_file = "y"',
            "f:7: agent.join_token_file",
            "join_token or join_token_file",
        ),
    ],
)
def test_what_cannot_go_together_is_refused(agent: str, key: str, two: str) -> None:
    assert refusal(agent) == [f"{key}: only one of {two} can be specified, not both"]


def test_an_agent_may_trust_blindly_when_told() -> None:
    assert config("insecure_bootstrap = true", trust="").insecure_bootstrap


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        ('availability_target = "23h"', "must be at least 24h"),
        ('workload_x509_svid_key_type = "rsa-4096"', "must be one of ec-p256, ec-p384, rsa-2048"),
        ("x509_svid_cache_max_size = -1", "greater than or equal to 0"),
        ('trust_bundle_format = "der"', "'pem' or 'spiffe'"),
        ('experimental { sync_interval = "0s" }', "must be more than zero"),
        ('join_tokn = "x"', 'did you mean "join_token"?'),
        ('rebootstrap_mode = "sometimes"', "'never', 'auto' or 'always'"),
        ('rebootstrap_delay = "10"', "is not a duration"),
        ("experimental { require_pq_kem = true }", "not built"),
        ("experimental { ratelimit { fetch_x509_svid = -1 } }", "greater than or equal to 0"),
        ('experimental { jwt_svid_cache_hit_timeout = "5s" }', "must be more than 5s and less than 30s"),
        ('experimental { jwt_svid_cache_hit_timeout = "30s" }', "must be more than 5s and less than 30s"),
        ('admin_socket_path = "/tmp/spire-agent/public/x/y"', "admin socket cannot be in the same directory"),
        ('admin_socket_path = "/tmp/x/../spire-agent/public/y"', "admin socket cannot be in the same directory"),
        ('authorized_delegates = ["spiffe://other.test/x"]', "is not a member of trust domain"),
        ('authorized_delegates = ["x"]', "scheme is missing or invalid"),
    ],
)
def test_bad_or_missing_things_are_refused(agent: str, reason: str) -> None:
    (fault,) = refusal(agent)
    assert fault.startswith("f:6: agent.")
    assert reason in fault


@pytest.mark.parametrize(
    ("agent", "rest", "key"),
    [
        ('experimental { broker { socket_path = "x" } }', "", "agent.experimental.broker"),
        ("experimental { use_sync_authorized_entries = false }", "", "agent.experimental.use_sync_authorized_entries"),
    ],
)
def test_what_is_only_absent_is_a_warning(agent: str, rest: str, key: str) -> None:
    (warning,) = loaded(agent, rest).warnings
    assert warning.key == key


@pytest.mark.parametrize(
    "agent",
    [
        'rebootstrap_mode = "never"',
        "experimental { use_sync_authorized_entries = true }",
    ],
)  # fmt: skip
def test_what_asks_for_nothing_is_not_mentioned(agent: str) -> None:
    assert loaded(agent).warnings == ()


@pytest.mark.parametrize(
    ("kind", "name"), [("WorkloadAttestor", "k8s"), ("NodeAttestor", "aws_iid"), ("SVIDStore", "aws_secretsmanager")]
)
def test_plugins_of_spires_that_are_not_built_are_named(kind: str, name: str) -> None:
    (fault,) = refusal(rest=f'plugins {{ {kind} "{name}" {{}} }}')
    assert "is a plugin of SPIRE's that is not built yet" in fault


def test_a_node_attests_in_one_way() -> None:
    (fault,) = refusal(rest='plugins {\n NodeAttestor "join_token" {}\n NodeAttestor "x509pop" {}\n}')
    assert "plugins.NodeAttestor: exactly one can be on" in fault


def test_flags_alone_are_enough() -> None:
    values = {"trust_domain": "a", "server_address": "h", "server_port": "8081", "insecure_bootstrap": True}
    given = [Override(("agent", key), FLAGS["agent", key], value) for key, value in values.items()]
    assert load(WITHOUT_FILE, given).config.server_port == 8081


def test_the_example_needs_its_environment() -> None:
    found = load(read(EXAMPLES / "agent.conf", env={"ASSAY_SERVER": "server.example"}))
    assert found.config.server_address == "server.example"
    assert found.warnings == ()
    with pytest.raises(ConfigError, match=r"agent\.conf:5: agent\.server_address"):
        load(read(EXAMPLES / "agent.conf", env={}))
