"""What the server runs with, every value checked; SPIRE's key names and defaults. Durations are whole seconds."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from assay.config.health import HealthSettings
from assay.config.logging import LogSettings
from assay.config.plugin import Plugin
from assay.keymanager.base import KeyType
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import SpiffeId, TrustDomain
from assay.telemetry.settings import TelemetrySettings
from assay_server.config.tasks import TaskSettings
from assay_server.config.tokenendpoint import TokenEndpointSettings
from assay_server.model.rates import Rates

DEFAULT_MESSAGE_BYTES = 4 * 1024 * 1024
DEFAULT_CALLER_CONNECTIONS = 100
DEFAULT_ANONYMOUS_CONNECTIONS = 2000


@dataclass(frozen=True, slots=True)
class CaSubject:
    """The CA certificate's subject; all empty means SPIRE's default, C=US, O=SPIFFE."""

    country: tuple[str, ...] = ()
    organization: tuple[str, ...] = ()
    common_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """One server's settings.

    `prune_attested_nodes_expired_for` is None when nodes are not pruned. `jwt_issuer` and `wit_issuer` are
    empty when tokens have none.
    """

    trust_domain: TrustDomain
    data_dir: Path
    bind_address: str = "0.0.0.0"  # noqa: S104 - SPIRE's default: agents come from other machines
    bind_port: int = 8081
    socket_path: Path = ADMIN_SOCKET
    datastore_path: Path
    key_manager: Plugin
    node_attestors: tuple[Plugin, ...] = ()
    ca_ttl: int = 24 * 3600
    default_x509_svid_ttl: int = 3600
    default_jwt_svid_ttl: int = 300
    agent_ttl: int = 3600
    ca_key_type: KeyType = KeyType.EC_P256
    jwt_key_type: KeyType = KeyType.EC_P256
    wit_svids: bool = False
    wit_key_type: KeyType = KeyType.EC_P256
    ca_subject: CaSubject = CaSubject()
    jwt_issuer: str = ""
    wit_issuer: str = ""
    admin_ids: frozenset[SpiffeId] = frozenset()
    rates: Rates = field(default_factory=Rates)
    proxy_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    prune_attested_nodes_expired_for: int | None = None
    prune_attested_nodes_batch_size: int = 1000
    prune_tofu_nodes: bool = False
    max_message_bytes: int = DEFAULT_MESSAGE_BYTES
    connections_per_caller: int = DEFAULT_CALLER_CONNECTIONS
    anonymous_connections: int = DEFAULT_ANONYMOUS_CONNECTIONS
    health: HealthSettings = field(default_factory=HealthSettings)
    audit_log: bool = False
    audit_log_file: Path | None = None
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    log: LogSettings = field(default_factory=LogSettings)
    token_endpoint: TokenEndpointSettings = field(default_factory=TokenEndpointSettings)
    tasks: TaskSettings = field(default_factory=TaskSettings)
