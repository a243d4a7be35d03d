"""What agent.conf may say: SPIRE's keys, and ours in `assay { }`."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from assay.config.document import KeyPath
from assay.config.fields import (
    DomainName,
    FilePath,
    Format,
    FractionalSeconds,
    Identities,
    KeyTypeName,
    Level,
    Port,
    Seconds,
    Section,
    Texts,
)
from assay.config.health import HealthChecksSection
from assay.config.telemetry import OTLP_SECTIONS, OwnTelemetrySection, TelemetrySection
from assay.config.telemetry import SECTIONS as TELEMETRY
from assay.keymanager.base import KeyType
from assay.sockets import WORKLOAD_SOCKET
from assay_agent.config.settings import DEFAULT_USER_CALLS, DEFAULT_USER_CONNECTIONS, BundleFormat, RebootstrapMode

MIN_AVAILABILITY_TARGET = 24 * 3600
DEFAULT_CACHE_SIZE = 1000
# SPIRE's bounds of jwt_svid_cache_hit_timeout, in seconds.
MIN_HIT_TIMEOUT, MAX_HIT_TIMEOUT = 5, 30


def _workload_key(kind: KeyType) -> KeyType:
    if kind is KeyType.RSA_4096:
        raise ValueError("must be one of ec-p256, ec-p384, rsa-2048")
    return kind


def _mode(value: object) -> object:
    return value or "never"


def _long_enough(seconds: int) -> int:
    if seconds < MIN_AVAILABILITY_TARGET:
        raise ValueError("must be at least 24h")
    return seconds


def _more_than_zero(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be more than zero")
    return seconds


def _quick(seconds: float) -> float:
    if not MIN_HIT_TIMEOUT < seconds < MAX_HIT_TIMEOUT:
        raise ValueError(f"must be more than {MIN_HIT_TIMEOUT}s and less than {MAX_HIT_TIMEOUT}s")
    return seconds


class RateLimitSection(Section):
    """`agent { experimental { ratelimit { } } }`: calls a second for each set of selectors; 0 is no limit."""

    fetch_x509_svid: int = Field(default=0, ge=0)
    """Calls of `FetchX509SVID`; more are refused as `UNAVAILABLE`."""
    fetch_jwt_svid: int = Field(default=0, ge=0)
    """Of `FetchJWTSVID`."""
    fetch_x509_bundles: int = Field(default=0, ge=0)
    """Of `FetchX509Bundles`."""
    fetch_jwt_bundles: int = Field(default=0, ge=0)
    """Of `FetchJWTBundles`."""
    stream_secrets: int = Field(default=0, ge=0)
    """Of SDS's `StreamSecrets`."""
    fetch_secrets: int = Field(default=0, ge=0)
    """Of SDS's `FetchSecrets`."""

    def rates(self) -> dict[str, int]:
        """By the methods' paths, without those that are not limited."""
        rates = {
            "/SpiffeWorkloadAPI/FetchX509SVID": self.fetch_x509_svid,
            "/SpiffeWorkloadAPI/FetchJWTSVID": self.fetch_jwt_svid,
            "/SpiffeWorkloadAPI/FetchX509Bundles": self.fetch_x509_bundles,
            "/SpiffeWorkloadAPI/FetchJWTBundles": self.fetch_jwt_bundles,
            "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets": self.stream_secrets,
            "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets": self.fetch_secrets,
        }
        return {path: rate for path, rate in rates.items() if rate}


class ExperimentalSection(Section):
    """`agent { experimental { } }`."""

    sync_interval: Annotated[FractionalSeconds, AfterValidator(_more_than_zero)] = 5.0
    """How often a server without `Watch`, such as SPIRE's, is asked for changes."""
    jwt_svid_cache_hit_timeout: Annotated[FractionalSeconds, AfterValidator(_quick)] | None = None
    """How long the server may take to renew a JWT-SVID before the kept one is given out, if that is still valid."""
    ratelimit: RateLimitSection = RateLimitSection()


class SdsSection(Section):
    """`agent { sds { } }`: what Envoys call their secrets (docs/envoy.md)."""

    default_svid_name: str = "default"
    """The caller's default SVID, the first by entry ID."""
    default_bundle_name: str = "ROOTCA"
    """The own trust domain's bundle."""
    default_all_bundles_name: str = "ALL"
    """That and the bundles that the caller's entries federate with, for Envoy's SPIFFE validator."""
    disable_spiffe_cert_validation: bool = False
    """Write bundles for Envoy's ordinary validator, as for Envoys before 1.18. A node's metadata may say otherwise."""


class AgentSection(Section):
    """`agent { }`. A cache size of 0 means the default, as in SPIRE."""

    trust_domain: DomainName
    """The server's trust domain."""
    server_address: str = Field(min_length=1)
    """The server's name or address."""
    server_port: Port
    """The server's TCP port."""
    data_dir: FilePath = Path()
    """For the agent's own SVID and key; the working directory if not set."""
    socket_path: FilePath = WORKLOAD_SOCKET
    """The Workload API's socket: mode 0777, in a folder of mode 0755 if it has to be made."""
    admin_socket_path: FilePath | None = None
    """For [delegates](delegated-identity.md), `logger`, `debug`; mode 0770, not below the folder of `socket_path`."""
    authorized_delegates: Identities = ()
    """Workloads that may have the identities of others over the admin socket; SPIFFE IDs of the own trust domain."""
    join_token: str = Field(default="", repr=False)
    """A token from `assay token generate`; it shows in the process list if given as a flag."""
    join_token_file: FilePath | None = None
    """A file with such a token, read when the agent attests."""
    trust_bundle_path: FilePath | None = None
    """A file with the server's bundle: whom to trust before the first attestation. Some source of it is needed."""
    trust_bundle_url: str = ""
    """The same at an `https://` URL, whose server's certificate the system's trust store vouches for."""
    trust_bundle_unix_socket: FilePath | None = None
    """Ask a program on this socket for the URL, which then is `http://`. It is told who asks and why."""
    trust_bundle_spiffe_workload_api: str = ""
    """The same from another agent's Workload API, such as `unix:///run/upstream/api.sock`."""
    trust_bundle_format: BundleFormat = "pem"
    """Of file or URL: `pem`, or `spiffe` for a SPIFFE bundle document."""
    insecure_bootstrap: bool = False
    """Trust whichever server answers first. Not for production."""
    rebootstrap_mode: Annotated[RebootstrapMode, BeforeValidator(_mode)] = "never"
    """Ask the bundle's source anew when the server's keys have all changed: never, auto (if the node can) or always."""
    rebootstrap_delay: FractionalSeconds = 600.0
    """How long the server's certificate must not have fitted the bundle before that."""
    allow_unauthenticated_verifiers: bool = False
    """Give trust bundles to callers that no entry matches, too."""
    allowed_foreign_jwt_claims: Texts = ()
    """Claims that `ValidateJWTSVID` shows of other trust domains' tokens, beside sub, exp and aud."""
    workload_x509_svid_key_type: Annotated[KeyTypeName, AfterValidator(_workload_key)] = KeyType.EC_P256
    """Of workloads' keys: ec-p256, ec-p384 or rsa-2048."""
    availability_target: Annotated[Seconds, AfterValidator(_long_enough)] | None = None
    """Renew SVIDs at least that long before they expire, if that leaves them 12h of use; at least 24h."""
    x509_svid_cache_max_size: int = Field(default=DEFAULT_CACHE_SIZE, ge=0)
    """How many X.509-SVIDs are kept that no workload asks for at the moment; 0 for the default."""
    jwt_svid_cache_max_size: int = Field(default=DEFAULT_CACHE_SIZE, ge=0)
    """How many JWT-SVIDs are kept, and how many WIT-SVIDs; 0 for the default."""
    disable_workload_api: bool = False
    """Do not serve the Workload API. Without that and SDS there is no `socket_path`."""
    disable_sds_api: bool = False
    """Do not serve Envoy's Secret Discovery Service."""
    sds: SdsSection = SdsSection()
    experimental: ExperimentalSection = ExperimentalSection()
    log_level: Level = "info"
    """TRACE, DEBUG, INFO, WARN, ERROR, FATAL or PANIC, in any case."""
    log_format: Format = "text"
    """`text`, as SPIRE writes it, or `json`."""
    log_file: FilePath | None = None
    """Standard output if not set. `SIGUSR2` opens it anew, after it was moved away."""
    log_source_location: bool = False
    """Whether each line says where in the code it was logged."""
    log_selectors: Texts = ()
    """What selectors begin with, such as `unix:uid`, that are logged of a workload that no entry is for."""


class AssaySection(Section):
    """`assay { }`: keys that SPIRE does not have."""

    calls_per_user: int | None = Field(default=None, ge=1)
    """Calls a second on `socket_path` of all of a user's processes; if not set, they only take turns with others'."""
    calls_at_once_per_user: int = Field(default=DEFAULT_USER_CALLS, ge=1)
    """Calls under way there, open streams among them, of all of a user's processes; more are refused."""
    connections_per_user: int = Field(default=DEFAULT_USER_CONNECTIONS, ge=1)
    """On that socket, of all of a user's processes; never more than half of what the limit of open files allows."""
    telemetry: OwnTelemetrySection = OwnTelemetrySection()


class AgentFile(Section):
    """The whole file but its plugins."""

    agent: AgentSection
    health_checks: HealthChecksSection = HealthChecksSection()
    telemetry: TelemetrySection = TelemetrySection()
    assay: AssaySection = AssaySection()


SECTIONS: tuple[KeyPath, ...] = (
    ("agent",), ("agent", "sds"), ("agent", "experimental"), ("agent", "experimental", "ratelimit"), ("health_checks",),
    ("assay",), *OTLP_SECTIONS, *TELEMETRY,
)  # fmt: skip

FLAGS: dict[KeyPath, str] = {
    ("agent", "allow_unauthenticated_verifiers"): "--allow-unauthenticated-verifiers",
    ("agent", "data_dir"): "--data-dir",
    ("agent", "disable_sds_api"): "--disable-sds-api",
    ("agent", "disable_workload_api"): "--disable-workload-api",
    ("agent", "insecure_bootstrap"): "--insecure-bootstrap",
    ("agent", "join_token"): "--join-token",
    ("agent", "join_token_file"): "--join-token-file",
    ("agent", "log_file"): "--log-file",
    ("agent", "log_format"): "--log-format",
    ("agent", "log_level"): "--log-level",
    ("agent", "log_source_location"): "--log-source-location",
    ("agent", "rebootstrap_delay"): "--rebootstrap-delay",
    ("agent", "rebootstrap_mode"): "--rebootstrap-mode",
    ("agent", "server_address"): "--server-address",
    ("agent", "server_port"): "--server-port",
    ("agent", "socket_path"): "--socket-path",
    ("agent", "trust_bundle_format"): "--trust-bundle-format",
    ("agent", "trust_bundle_path"): "--trust-bundle",
    ("agent", "trust_bundle_url"): "--trust-bundle-url",
    ("agent", "trust_domain"): "--trust-domain",
}
