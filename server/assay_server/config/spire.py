"""What SPIRE's server has and this one does not have yet, key by key and plugin by plugin."""

from assay.config import telemetry
from assay.config.document import KeyPath
from assay.config.notbuilt import NotBuilt, warned
from assay.config.plugin import SPIRE_NODE_ATTESTORS, BuiltIn, Catalog

_PUSHED = warned("has no effect: changes are pushed to agents as they are made")
_PROFILING = warned("profiling is not built; the key has no effect")

NOT_BUILT: dict[KeyPath, NotBuilt] = {
    ("server", "disable_jwt_svids"): NotBuilt("is not built yet: JWT-SVIDs would be issued all the same"),
    ("server", "federation"): warned(
        "federation endpoints are not built yet: no bundle endpoint is served and no foreign bundle is fetched; "
        "bundles set through the API reach workloads"
    ),
    ("server", "max_attested_node_info_staleness"): warned(
        "has no effect: node information is always current", "0s", "0"
    ),
    ("server", "profiling_enabled"): _PROFILING,
    ("server", "profiling_freq"): _PROFILING,
    ("server", "profiling_names"): _PROFILING,
    ("server", "profiling_port"): _PROFILING,
    ("server", "experimental", "agent_spiffe_id_as_selector"): NotBuilt("is not built yet: entries would not match"),
    ("server", "experimental", "auth_opa_policy_engine"): NotBuilt(
        "authorization policies are not built yet: the default rules would apply in their place"
    ),
    ("server", "experimental", "cache_reload_interval"): _PUSHED,
    ("server", "experimental", "event_timeout"): _PUSHED,
    ("server", "experimental", "events_based_cache"): _PUSHED,
    ("server", "experimental", "full_cache_reload_interval"): _PUSHED,
    ("server", "experimental", "named_pipe_name"): warned("named pipes are for Windows only"),
    ("server", "experimental", "prune_events_older_than"): _PUSHED,
    ("server", "experimental", "require_pq_kem"): NotBuilt(
        "requiring post-quantum key exchange is not built yet: weaker handshakes would be accepted"
    ),
    ("server", "experimental", "sql_transaction_timeout"): _PUSHED,
    **telemetry.NOT_BUILT,
}

CATALOG: Catalog = {
    "DataStore": {
        "sql": BuiltIn(
            frozenset({"database_type", "connection_string"}),
            frozenset({"max_open_conns", "max_idle_conns", "conn_max_lifetime"}),
            {
                "ro_connection_string": ("",), "root_ca_path": ("",), "client_cert_path": ("",),
                "client_key_path": ("",), "disable_migration": (False,), "log_sql": (False,),
            },
        )
    },
    "KeyManager": {
        "disk": BuiltIn(frozenset({"keys_path"})),
        "memory": BuiltIn(),
        **dict.fromkeys(("aws_kms", "azure_key_vault", "gcp_kms", "hashicorp_vault")),
    },
    "NodeAttestor": {
        "join_token": BuiltIn(),
        "x509pop": BuiltIn(
            frozenset({
                "mode", "spiffe_prefix", "ca_bundle_path", "ca_bundle_paths", "agent_path_template",
                "max_intermediates", "max_rsa_key_size",
            }),
            frozenset(),
            {"verify_client_ip": (False,)},
        ),
        **dict.fromkeys(SPIRE_NODE_ATTESTORS),
    },
    "UpstreamAuthority": dict.fromkeys(
        ("aws_pca", "awssecret", "cert-manager", "disk", "ejbca", "gcp_cas", "spire", "vault")
    ),
    "CredentialComposer": dict.fromkeys(("uniqueid",)),
    "Notifier": dict.fromkeys(("gcs_bundle", "k8sbundle")),
    "BundlePublisher": dict.fromkeys(
        ("aws_rolesanywhere_trustanchor", "aws_s3", "azure_blob", "gcp_cloudstorage", "k8s_configmap")
    ),
}  # fmt: skip
