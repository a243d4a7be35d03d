"""Governed identities put together: a part of the composition root, loaded only when somebody asks for one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.clock import Clock
from assay.rpc.method import Service
from assay.spiffeid import TrustDomain
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.ratelimit import RateLimits
from assay_server.config import ServerConfig
from assay_server.credential import Issuer
from assay_server.credential.authorities import Authorities
from assay_server.datastore.base import Store

if TYPE_CHECKING:
    from assay_server.governance.credentials import CredentialService


@dataclass(frozen=True, slots=True)
class Ground:
    """What they stand on."""

    config: ServerConfig
    store: Store
    clock: Clock
    issuer: Issuer
    authorities: Authorities
    authorized: AuthorizedEntries
    limits: RateLimits

    @property
    def trust_domain(self) -> TrustDomain:
        """The server's."""
        return self.config.trust_domain


class Governing:
    """Its services, each loaded when it is first called, and what runs beside them."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def services(self) -> Sequence[Service]:
        """For both sockets, where the table says who may call."""
        return ()

    async def serve_tokens(self) -> None:
        """Answer OAuth clients until cancelled; the configuration has switched the endpoint on."""
        from assay_server.oauth.serve import serve_tokens  # noqa: PLC0415 - few switch it on

        ground = self._ground
        settings = ground.config.token_endpoint
        await serve_tokens(
            settings, self._credentials(), ground.store, ground.issuer, ground.trust_domain, ground.clock
        )

    def _credentials(self) -> "CredentialService":
        from assay_server.governance.credentials import CredentialService  # noqa: PLC0415 - loaded with the first call
        from assay_server.governance.policies import Policies  # noqa: PLC0415 - likewise
        from assay_server.governance.tokens import TaskTokens  # noqa: PLC0415 - likewise

        ground = self._ground
        name = ground.config.token_endpoint.issuer or str(ground.trust_domain.id)
        tokens = TaskTokens(name, ground.trust_domain, ground.authorities)
        return CredentialService(ground.store, Policies(), ground.clock, tokens.sign, tokens.ends_at)
