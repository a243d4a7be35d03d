"""What the agent runs with, every value checked; SPIRE's key names and defaults. Durations are whole seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from assay.config.health import HealthSettings
from assay.config.logging import LogSettings
from assay.config.plugin import Plugin
from assay.keymanager.base import KeyType
from assay.sockets import WORKLOAD_SOCKET
from assay.spiffeid import SpiffeId, TrustDomain
from assay.telemetry.settings import TelemetrySettings

# More than a host's workloads ever need, and what one user may cost the agent: some 16 KiB for each.
DEFAULT_USER_CALLS = DEFAULT_USER_CONNECTIONS = 4096

BundleFormat: TypeAlias = Literal["pem", "spiffe"]
RebootstrapMode: TypeAlias = Literal["never", "auto", "always"]


@dataclass(frozen=True, slots=True)
class SdsSettings:
    """What Envoys call the default SVID, the own bundle and all bundles; no secret has an empty name.

    Peers are verified by Envoy's SPIFFE validator, unless that is disabled here or in the metadata of a node.
    """

    default_svid_name: str = "default"
    default_bundle_name: str = "ROOTCA"
    default_all_bundles_name: str = "ALL"
    disable_spiffe_cert_validation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """One agent's settings.

    At most one of `join_token` and `join_token_file` is set; the file is read when the agent attests. Of
    `trust_bundle_path`, `trust_bundle_url`, `trust_bundle_spiffe_workload_api` and `insecure_bootstrap` exactly one is
    set, and `trust_bundle_unix_socket` only beside the URL, which then is `http://`.
    `availability_target` is None when SVIDs rotate by their half-life alone. `sds` is None when that API is disabled,
    and `workload_api` False when that one is.
    Without `admin_socket_path` there is no admin socket. `method_rates` are calls a second by the method's path, for
    each set of selectors. `calls_per_user` (a second, without limit if None), `calls_at_once_per_user` and
    `connections_per_user` are for each user.
    """

    trust_domain: TrustDomain
    data_dir: Path
    server_address: str
    server_port: int
    socket_path: Path = WORKLOAD_SOCKET
    admin_socket_path: Path | None = None
    authorized_delegates: frozenset[SpiffeId] = frozenset()
    key_manager: Plugin
    node_attestor: Plugin
    workload_attestors: tuple[Plugin, ...]
    svid_stores: tuple[Plugin, ...] = ()
    join_token: str = field(default="", repr=False)
    join_token_file: Path | None = None
    trust_bundle_path: Path | None = None
    trust_bundle_url: str = ""
    trust_bundle_unix_socket: Path | None = None
    trust_bundle_spiffe_workload_api: str = ""
    trust_bundle_format: BundleFormat = "pem"
    insecure_bootstrap: bool = False
    rebootstrap_mode: RebootstrapMode = "never"
    rebootstrap_delay: float = 600.0
    allow_unauthenticated_verifiers: bool = False
    allowed_foreign_jwt_claims: frozenset[str] = frozenset()
    workload_x509_svid_key_type: KeyType = KeyType.EC_P256
    availability_target: int | None = None
    x509_svid_cache_max_size: int = 1000
    jwt_svid_cache_max_size: int = 1000
    jwt_svid_cache_hit_timeout: float = 30.0
    sync_interval: float = 5.0
    log_selectors: tuple[str, ...] = ()
    workload_api: bool = True
    sds: SdsSettings | None = field(default_factory=SdsSettings)
    method_rates: Mapping[str, int] = field(default_factory=dict[str, int])
    calls_per_user: int | None = None
    calls_at_once_per_user: int = DEFAULT_USER_CALLS
    connections_per_user: int = DEFAULT_USER_CONNECTIONS
    health: HealthSettings = field(default_factory=HealthSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    log: LogSettings = field(default_factory=LogSettings)
