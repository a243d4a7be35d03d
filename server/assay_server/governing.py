"""Governed identities put together: a part of the composition root, loaded only when somebody asks for one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.clock import Clock
from assay.rpc.method import Service
from assay.spiffeid import TrustDomain
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.ratelimit import RateLimits
from assay_server.config import ServerConfig
from assay_server.credential import Issuer
from assay_server.datastore.base import Store


@dataclass(frozen=True, slots=True)
class Ground:
    """What they stand on."""

    config: ServerConfig
    store: Store
    clock: Clock
    issuer: Issuer
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
