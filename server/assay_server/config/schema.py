"""What server.conf may say: SPIRE's keys, and ours in `assay { }`."""

from pydantic import Field

from assay.config.document import KeyPath
from assay.config.fields import (
    DomainName,
    FilePath,
    Format,
    Identities,
    KeyTypeName,
    Level,
    Port,
    PositiveSeconds,
    Seconds,
    Section,
    Texts,
)
from assay_server.config.settings import DEFAULT_MESSAGE_BYTES, DEFAULT_SOCKET_PATH, CaSubject

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class RateLimitSection(Section):
    """`ratelimit { }`."""

    attestation: bool = True
    signing: bool = True


class CaSubjectSection(Section):
    """`ca_subject { }`."""

    country: Texts = ()
    organization: Texts = ()
    common_name: str = ""

    def value(self) -> CaSubject:
        """As the certificates' maker takes it."""
        return CaSubject(self.country, self.organization, self.common_name)


class ExperimentalSection(Section):
    """`server { experimental { } }`: none of SPIRE's keys does anything here."""


class ServerSection(Section):
    """`server { }`."""

    trust_domain: DomainName
    data_dir: FilePath
    bind_address: str = "0.0.0.0"  # noqa: S104 - SPIRE's default: agents come from other machines
    bind_port: Port = 8081
    socket_path: FilePath = DEFAULT_SOCKET_PATH
    ca_ttl: PositiveSeconds = 24 * 3600
    default_x509_svid_ttl: PositiveSeconds = 3600
    default_jwt_svid_ttl: PositiveSeconds = 300
    agent_ttl: PositiveSeconds | None = None
    ca_key_type: KeyTypeName | None = None
    jwt_key_type: KeyTypeName | None = None
    ca_subject: CaSubjectSection = CaSubjectSection()
    jwt_issuer: str = ""
    admin_ids: Identities = ()
    ratelimit: RateLimitSection = RateLimitSection()
    experimental: ExperimentalSection = ExperimentalSection()
    prune_attested_nodes_expired_for: Seconds = 0
    prune_attested_nodes_batch_size: int = Field(default=1000, ge=1)
    prune_tofu_nodes: bool = False
    log_level: Level = "info"
    log_format: Format = "text"
    log_file: FilePath | None = None
    log_source_location: bool = False


class AssaySection(Section):
    """`assay { }`: keys that SPIRE does not have."""

    max_message_bytes: int = Field(default=DEFAULT_MESSAGE_BYTES, ge=65536, le=MAX_MESSAGE_BYTES)


class ServerFile(Section):
    """The whole file but its plugins."""

    server: ServerSection
    assay: AssaySection = AssaySection()


SECTIONS: tuple[KeyPath, ...] = (
    ("server",), ("server", "ratelimit"), ("server", "ca_subject"), ("server", "experimental"), ("assay",),
)  # fmt: skip

FLAGS: dict[KeyPath, str] = {
    ("server", "bind_address"): "--bind-address",
    ("server", "bind_port"): "--server-port",
    ("server", "data_dir"): "--data-dir",
    ("server", "log_file"): "--log-file",
    ("server", "log_format"): "--log-format",
    ("server", "log_level"): "--log-level",
    ("server", "socket_path"): "--socket-path",
    ("server", "trust_domain"): "--trust-domain",
}
