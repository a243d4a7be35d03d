"""What server.conf may say: SPIRE's keys, and ours in `assay { }`."""

from typing import Annotated

from pydantic import AfterValidator, Field

from assay.config.document import KeyPath
from assay.config.fields import (
    DomainName,
    FilePath,
    Format,
    Identities,
    KeyTypeName,
    Level,
    Networks,
    Port,
    PositiveSeconds,
    Seconds,
    Section,
    Texts,
)
from assay.config.health import HealthChecksSection
from assay.config.telemetry import OTLP_SECTIONS, OwnTelemetrySection, TelemetrySection
from assay.config.telemetry import SECTIONS as TELEMETRY
from assay.sockets import ADMIN_SOCKET
from assay_server.config.settings import (
    DEFAULT_ANONYMOUS_CONNECTIONS,
    DEFAULT_CALLER_CONNECTIONS,
    DEFAULT_MESSAGE_BYTES,
    CaSubject,
)
from assay_server.config.tasks import TasksSection
from assay_server.config.tokenendpoint import TokenEndpointSection
from assay_server.model.rates import Rates

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_RATE = 1_000_000
WIT_FLAG = "wit-svid"


def feature_flags(flags: tuple[str, ...]) -> tuple[str, ...]:
    """Those there are; SPIRE refuses others as well."""
    for flag in flags:
        if flag != WIT_FLAG:
            raise ValueError(f'no feature flag "{flag}"; there is: {WIT_FLAG}')
    return flags


class RateLimitSection(Section):
    """`ratelimit { }`."""

    attestation: bool = True
    """Let each address attest once a second, or as often as `assay { ratelimit { } }` says; more wait."""
    signing: bool = True
    """Let each address ask for 500 signatures a second of each kind, or as many as that says; more wait."""


class CaSubjectSection(Section):
    """`ca_subject { }`."""

    country: Texts = ()
    """C of the CA certificate's subject, which is C=US, O=SPIFFE if all three are empty."""
    organization: Texts = ()
    """O of it."""
    common_name: str = ""
    """CN of it."""

    def value(self) -> CaSubject:
        """As the certificates' maker takes it."""
        return CaSubject(self.country, self.organization, self.common_name)


FeatureFlags = Annotated[Texts, AfterValidator(feature_flags)]


class ExperimentalSection(Section):
    """`server { experimental { } }`."""

    feature_flags: FeatureFlags = ()
    """`["wit-svid"]` switches WIT-SVIDs on, whose standard is not settled yet; there is no other."""
    wit_key_type: KeyTypeName | None = None
    """As `ca_key_type`, which it is if not set."""
    wit_issuer: str = ""
    """The `iss` of WIT-SVIDs; none if empty. Not a URL: whoever knows OpenID Connect could take one for an ID token."""


class ServerSection(Section):
    """`server { }`."""

    trust_domain: DomainName
    """The trust domain whose identities are issued."""
    data_dir: FilePath
    """For what must outlive the process: the store and the keys, unless their plugins say otherwise."""
    bind_address: str = "0.0.0.0"  # noqa: S104 - SPIRE's default: agents come from other machines
    """The address that agents come to."""
    bind_port: Port = 8081
    """The TCP port that agents come to."""
    socket_path: FilePath = ADMIN_SOCKET
    """The admin socket: mode 0770, for the server's user and group."""
    ca_ttl: PositiveSeconds = 24 * 3600
    """How long a CA lives; the next one is prepared and takes over before that."""
    default_x509_svid_ttl: PositiveSeconds = 3600
    """Life of X.509-SVIDs whose entry does not say."""
    default_jwt_svid_ttl: PositiveSeconds = 300
    """Life of JWT-SVIDs whose entry does not say."""
    agent_ttl: PositiveSeconds | None = None
    """Life of agents' own SVIDs; `default_x509_svid_ttl` if not set."""
    ca_key_type: KeyTypeName | None = None
    """ec-p256, ec-p384, rsa-2048 or rsa-4096; ec-p256 if not set."""
    jwt_key_type: KeyTypeName | None = None
    """As `ca_key_type`, which it is if not set."""
    ca_subject: CaSubjectSection = CaSubjectSection()
    jwt_issuer: str = ""
    """The `iss` of JWT-SVIDs; none if empty."""
    admin_ids: Identities = ()
    """SPIFFE IDs whose callers on the TCP port may administer."""
    proxy_protocol_trusted_cidrs: Networks = ()
    """Proxies whose PROXY header (version 1 or 2) names the caller; from others the header is refused."""
    ratelimit: RateLimitSection = RateLimitSection()
    experimental: ExperimentalSection = ExperimentalSection()
    prune_attested_nodes_expired_for: Seconds = 0
    """Forget agents whose SVID expired that long ago; 0 keeps them."""
    prune_attested_nodes_batch_size: int = Field(default=1000, ge=1)
    """How many are forgotten in one transaction."""
    prune_tofu_nodes: bool = False
    """Forget also those that could not attest again."""
    audit_log_enabled: bool = False
    """Write a line to the log for each call, as SPIRE does."""
    log_level: Level = "info"
    """TRACE, DEBUG, INFO, WARN, ERROR, FATAL or PANIC, in any case."""
    log_format: Format = "text"
    """`text`, as SPIRE writes it, or `json`."""
    log_file: FilePath | None = None
    """Standard output if not set. `SIGUSR2` opens it anew, after it was moved away."""
    log_source_location: bool = False
    """Whether each line says where in the code it was logged."""


Rate = Annotated[int, Field(ge=1, le=MAX_RATE)]


class RatesSection(Section):
    """`assay { ratelimit { } }`: how much SPIRE's limits let through, for each address and second and at once."""

    attestation: Rate = 1
    """Attestations of agents."""
    x509_signing: Rate = 500
    """X.509-SVIDs, renewals of agents and downstream CAs together, and so the largest batch that is taken."""
    jwt_signing: Rate = 500
    """JWT-SVIDs."""
    wit_signing: Rate = 500
    """WIT-SVIDs."""
    publishing: Rate = 500
    """Authorities that downstream servers publish."""
    status: Rate = 10
    """Agents that tell their version."""

    def rates(self, switches: RateLimitSection) -> Rates:
        """These, where they are not switched off."""
        signing = switches.signing
        return Rates(
            attestation=self.attestation if switches.attestation else None,
            x509_signing=self.x509_signing if signing else None,
            jwt_signing=self.jwt_signing if signing else None,
            wit_signing=self.wit_signing if signing else None,
            publishing=self.publishing,
            status=self.status,
        )


class AssaySection(Section):
    """`assay { }`: keys that SPIRE does not have."""

    max_message_bytes: int = Field(default=DEFAULT_MESSAGE_BYTES, ge=65536, le=MAX_MESSAGE_BYTES)
    """The largest request the server takes."""
    connections_per_caller: int = Field(default=DEFAULT_CALLER_CONNECTIONS, ge=1)
    """On the TCP port, for each SPIFFE ID; never more than half of what the limit of open files allows."""
    anonymous_connections: int = Field(default=DEFAULT_ANONYMOUS_CONNECTIONS, ge=1)
    """On the TCP port, of all callers without certificate; the oldest from where most come goes for the newest."""
    ratelimit: RatesSection = RatesSection()
    audit_log_file: FilePath | None = None
    """Append a line of JSON for each call ([audit.md](audit.md)); no such file if not set."""
    telemetry: OwnTelemetrySection = OwnTelemetrySection()
    token_endpoint: TokenEndpointSection = TokenEndpointSection()
    tasks: TasksSection = TasksSection()


class ServerFile(Section):
    """The whole file but its plugins."""

    server: ServerSection
    health_checks: HealthChecksSection = HealthChecksSection()
    telemetry: TelemetrySection = TelemetrySection()
    assay: AssaySection = AssaySection()


SECTIONS: tuple[KeyPath, ...] = (
    ("server",), ("server", "ratelimit"), ("server", "ca_subject"), ("server", "experimental"),
    ("health_checks",), ("assay",), ("assay", "ratelimit"), ("assay", "token_endpoint"), ("assay", "tasks"),
    ("assay", "tasks", "staleness"),
    *OTLP_SECTIONS, *TELEMETRY,
)  # fmt: skip

FLAGS: dict[KeyPath, str] = {
    ("server", "bind_address"): "--bind-address",
    ("server", "bind_port"): "--server-port",
    ("server", "data_dir"): "--data-dir",
    ("server", "log_file"): "--log-file",
    ("server", "log_format"): "--log-format",
    ("server", "log_level"): "--log-level",
    ("server", "log_source_location"): "--log-source-location",
    ("server", "socket_path"): "--socket-path",
    ("server", "trust_domain"): "--trust-domain",
}
