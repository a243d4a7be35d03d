"""What agent.conf may say: SPIRE's keys, and ours in `assay { }`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from assay.config.document import KeyPath
from assay.config.fields import (
    DomainName,
    FilePath,
    Format,
    FractionalSeconds,
    KeyTypeName,
    Level,
    Port,
    Seconds,
    Section,
    Texts,
)
from assay.keymanager.base import KeyType
from assay_agent.config.settings import DEFAULT_SOCKET_PATH

MIN_AVAILABILITY_TARGET = 24 * 3600
DEFAULT_CACHE_SIZE = 1000


def _workload_key(kind: KeyType) -> KeyType:
    if kind is KeyType.RSA_4096:
        raise ValueError("must be one of ec-p256, ec-p384, rsa-2048")
    return kind


def _long_enough(seconds: int) -> int:
    if seconds < MIN_AVAILABILITY_TARGET:
        raise ValueError("must be at least 24h")
    return seconds


def _more_than_zero(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be more than zero")
    return seconds


class ExperimentalSection(Section):
    """`agent { experimental { } }`."""

    sync_interval: Annotated[FractionalSeconds, AfterValidator(_more_than_zero)] = 5.0


class AgentSection(Section):
    """`agent { }`. A cache size of 0 means the default, as in SPIRE."""

    trust_domain: DomainName
    server_address: str = Field(min_length=1)
    server_port: Port
    data_dir: FilePath = Path()
    socket_path: FilePath = DEFAULT_SOCKET_PATH
    join_token: str = Field(default="", repr=False)
    join_token_file: FilePath | None = None
    trust_bundle_path: FilePath | None = None
    trust_bundle_format: Literal["pem", "spiffe"] = "pem"
    insecure_bootstrap: bool = False
    allow_unauthenticated_verifiers: bool = False
    allowed_foreign_jwt_claims: Texts = ()
    workload_x509_svid_key_type: Annotated[KeyTypeName, AfterValidator(_workload_key)] = KeyType.EC_P256
    availability_target: Annotated[Seconds, AfterValidator(_long_enough)] | None = None
    x509_svid_cache_max_size: int = Field(default=DEFAULT_CACHE_SIZE, ge=0)
    jwt_svid_cache_max_size: int = Field(default=DEFAULT_CACHE_SIZE, ge=0)
    experimental: ExperimentalSection = ExperimentalSection()
    log_level: Level = "info"
    log_format: Format = "text"
    log_file: FilePath | None = None
    log_source_location: bool = False


class AssaySection(Section):
    """`assay { }`: keys that SPIRE does not have; none yet."""


class AgentFile(Section):
    """The whole file but its plugins."""

    agent: AgentSection
    assay: AssaySection = AssaySection()


SECTIONS: tuple[KeyPath, ...] = (("agent",), ("agent", "experimental"), ("assay",))

FLAGS: dict[KeyPath, str] = {
    ("agent", "allow_unauthenticated_verifiers"): "--allow-unauthenticated-verifiers",
    ("agent", "data_dir"): "--data-dir",
    ("agent", "insecure_bootstrap"): "--insecure-bootstrap",
    ("agent", "join_token"): "--join-token",
    ("agent", "join_token_file"): "--join-token-file",
    ("agent", "log_file"): "--log-file",
    ("agent", "log_format"): "--log-format",
    ("agent", "log_level"): "--log-level",
    ("agent", "server_address"): "--server-address",
    ("agent", "server_port"): "--server-port",
    ("agent", "socket_path"): "--socket-path",
    ("agent", "trust_bundle_format"): "--trust-bundle-format",
    ("agent", "trust_bundle_path"): "--trust-bundle",
    ("agent", "trust_domain"): "--trust-domain",
}
