"""What SPIRE's agent has and this one does not have yet, key by key and plugin by plugin."""

from assay.config import telemetry
from assay.config.document import KeyPath
from assay.config.notbuilt import NotBuilt, warned
from assay.config.plugin import SPIRE_NODE_ATTESTORS, BuiltIn, Catalog

_PROFILING = warned("profiling is not built; the key has no effect")

NOT_BUILT: dict[KeyPath, NotBuilt] = {
    ("agent", "profiling_enabled"): _PROFILING,
    ("agent", "profiling_freq"): _PROFILING,
    ("agent", "profiling_names"): _PROFILING,
    ("agent", "profiling_port"): _PROFILING,
    ("agent", "experimental", "admin_named_pipe_name"): warned("named pipes are for Windows only"),
    ("agent", "experimental", "broker"): warned("the SPIFFE Broker API is not built yet: nothing listens there"),
    ("agent", "experimental", "feature_flags"): NotBuilt("SPIRE's feature flags are not built"),
    ("agent", "experimental", "named_pipe_name"): warned("named pipes are for Windows only"),
    ("agent", "experimental", "require_pq_kem"): NotBuilt(
        "requiring post-quantum key exchange is not built yet: weaker handshakes would be accepted"
    ),
    ("agent", "experimental", "use_sync_authorized_entries"): warned(
        "has no effect: only changes are asked for", True, "true"
    ),
    **telemetry.NOT_BUILT,
}

CATALOG: Catalog = {
    "KeyManager": {"disk": BuiltIn(frozenset({"directory"})), "memory": BuiltIn()},
    "NodeAttestor": {
        "join_token": BuiltIn(),
        "x509pop": BuiltIn(
            frozenset({"private_key_path", "certificate_path", "intermediates_path", "spiffe_endpoint_socket"}),
        ),
        **dict.fromkeys(SPIRE_NODE_ATTESTORS),
    },
    "WorkloadAttestor": {
        "unix": BuiltIn(frozenset({"discover_workload_path", "workload_size_limit"})),
        "systemd": BuiltIn(),
        **dict.fromkeys(("docker", "k8s", "slurm", "windows")),
    },
    "SVIDStore": {
        "disk": BuiltIn(frozenset({"directory"})),
        **dict.fromkeys(("aws_secretsmanager", "gcp_secretmanager")),
    },
}  # fmt: skip
