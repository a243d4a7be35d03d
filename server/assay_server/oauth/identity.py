"""What the endpoint presents: the server's SPIFFE ID in a certificate that also names the issuer's host."""

from collections.abc import Mapping

from assay.bundle import Bundle
from assay.clock import Clock
from assay.crypto import keys
from assay.keymanager.base import KeyType
from assay.namespace import server_id
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay_server.credential import Issuer
from assay_server.oauth.bundles import OwnAuthorities


class EndpointIdentity:
    """An `X509Identity`: an SVID that is issued when one is first presented, and anew at half its life."""

    def __init__(
        self, issuer: Issuer, trust_domain: TrustDomain, host: str, authorities: OwnAuthorities, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._spiffe_id = server_id(trust_domain)
        self._dns_names = () if _is_address(host) else (host,)
        self._authorities = authorities
        self._clock = clock
        self._svid: X509Svid | None = None

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """Whom clients are known by."""
        return self._authorities.bundles()

    def svid(self) -> X509Svid:
        """The SVID, its key with it."""
        now = self._clock.now().timestamp()
        if self._svid is None or now > (self._svid.not_before + self._svid.not_after) / 2:
            key = keys.generate(KeyType.EC_P256)
            issued = self._issuer.workload_x509(key.public_key(), self._spiffe_id, dns_names=self._dns_names)
            self._svid = X509Svid.parse(issued.chain, key)
        return self._svid


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
