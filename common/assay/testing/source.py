"""A source of SVIDs that asks nobody: what code under test takes in place of one that follows the Workload API."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from assay.bundle import Bundle
from assay.clock import Clock
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import JwtSvid, X509Svid, jwt


class _Domain(Protocol):
    clock: Clock

    def bundles(self) -> Mapping[TrustDomain, Bundle]: ...

    @property
    def x509_authority(self) -> bytes: ...

    def x509_svid(self, path: SpiffeId, /) -> X509Svid: ...

    def jwt_svid(self, path: str | SpiffeId, audience: str | Sequence[str], /) -> str: ...


class InMemorySource:
    """Serves one identity as X509Source and JwtSource do, from a trust domain in memory.

    The X.509-SVID is renewed when half its life is over by the trust domain's clock, when the trust domain changes its
    CA, and by `rotate`. A source that was made with an SVID serves that one for ever.
    """

    def __init__(self, domain: _Domain, identity: SpiffeId | X509Svid) -> None:
        self._domain = domain
        self._fixed = isinstance(identity, X509Svid)
        self._svid = identity if isinstance(identity, X509Svid) else domain.x509_svid(identity)
        self._authority = domain.x509_authority
        self.version = 1
        """Grows by one with every new SVID."""

    def svid(self) -> X509Svid:
        """The X.509-SVID as it is now."""
        if not self._fixed and self._due():
            self.rotate()
        return self._svid

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """The trust domain's bundle and those it federates with, as they are now."""
        return self._domain.bundles()

    async def fetch(self, audience: str | Sequence[str], spiffe_id: SpiffeId | str | None = None) -> JwtSvid:
        """A JWT-SVID of this identity, or of that one."""
        return jwt.parse(self._domain.jwt_svid(spiffe_id or self._svid.spiffe_id, audience))

    def rotate(self) -> X509Svid:
        """A new X.509-SVID with a new key, from now on."""
        self._svid, self._authority = self._domain.x509_svid(self._svid.spiffe_id), self._domain.x509_authority
        self._fixed = False
        self.version += 1
        return self._svid

    def _due(self) -> bool:
        half = (self._svid.not_before + self._svid.not_after) / 2
        return self._domain.clock.now().timestamp() >= half or self._authority != self._domain.x509_authority
