"""What of the configuration takes effect in a running agent, beside what its sockets are told."""

from dataclasses import dataclass

from assay_agent.attestation.rotation import NodeRotation
from assay_agent.cache.jwt import JwtCache
from assay_agent.cache.wit import WitCache
from assay_agent.config import AgentConfig
from assay_agent.instance.svids import InstanceSvids
from assay_agent.instance.tokens import PrincipalTokens
from assay_agent.sync.follower import Follower
from assay_agent.sync.signer import Signer, SigningSettings

LIVE = frozenset({
    "allow_unauthenticated_verifiers", "allowed_foreign_jwt_claims", "authorized_delegates", "availability_target",
    "calls_per_user", "connections_per_user", "jwt_svid_cache_hit_timeout", "jwt_svid_cache_max_size", "log_selectors",
    "method_rates", "sync_interval", "workload_attestors", "workload_x509_svid_key_type", "x509_svid_cache_max_size",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class LiveParts:
    """The parts whose settings can change while they work."""

    rotation: NodeRotation
    signer: Signer
    follower: Follower
    jwts: JwtCache
    wits: WitCache
    instances: InstanceSvids
    tokens: PrincipalTokens

    def apply(self, config: AgentConfig) -> None:
        """Take over what they are told of `LIVE`."""
        self.rotation.use_target(config.availability_target)
        self.signer.use(signing_settings(config))
        self.follower.use_interval(config.sync_interval)
        self.jwts.use(config.jwt_svid_cache_max_size, config.jwt_svid_cache_hit_timeout)
        self.wits.use(config.workload_x509_svid_key_type, config.jwt_svid_cache_max_size)
        self.instances.use(signing_settings(config))
        self.tokens.use(config.jwt_svid_cache_max_size, config.jwt_svid_cache_hit_timeout)


def signing_settings(config: AgentConfig) -> SigningSettings:
    """How workloads' X.509-SVIDs are signed and renewed, and how many are kept."""
    return SigningSettings(
        config.workload_x509_svid_key_type, config.x509_svid_cache_max_size, config.availability_target
    )
