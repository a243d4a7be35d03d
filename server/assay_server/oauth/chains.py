"""Clients by the certificates of their connection: the same chain comes with each request, and is proven once."""

from collections.abc import Mapping
from dataclasses import dataclass

from assay.authorize import Authorizer
from assay.bundle import Bundle
from assay.clock import Clock
from assay.crypto.certificate import dates_of, load
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import x509
from assay.verify import BundleSource

KEPT = 1024
"""How many chains are remembered; as many as there may be connections."""

Chain = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proven:
    """Whose chain it is, and the end of its leaf (Unix seconds)."""

    spiffe_id: SpiffeId
    ends_at: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What was proven by these bundles, and in which time (Unix seconds) nothing that it stands on ends."""

    proven: Proven
    bundles: Mapping[TrustDomain, Bundle]
    since: float
    until: float


class Chains:
    """Proves X.509-SVIDs as `assay.verify.X509Verifier` does, and remembers what it proved.

    A chain is proven anew when the bundles are others, when a certificate of it or of the bundles has ended since,
    and when the clock went back.
    """

    def __init__(self, bundles: BundleSource, authorize: Authorizer, clock: Clock, kept: int = KEPT) -> None:
        self._source = bundles
        self._authorize = authorize
        self._clock = clock
        self._kept = kept
        self._known: dict[Chain, _Known] = {}

    def prove(self, chain: Chain) -> Proven:
        """Whose it is (DER, leaf first).

        Raises:
            SvidRefusedError: no X.509-SVID that is valid now.
            NotAuthorizedError: a valid one of somebody who is not wanted.
        """
        bundles, now = self._source.bundles(), self._clock.now().timestamp()
        known = self._known.get(chain)
        # The very same bundles, so that nothing has to be compared: a source that follows changes gives others then.
        if known is None or known.bundles is not bundles or not known.since <= now < known.until:
            known = self._proved(chain, bundles)
        self._authorize.check(known.proven.spiffe_id)
        return known.proven

    def _proved(self, chain: Chain, bundles: Mapping[TrustDomain, Bundle]) -> _Known:
        self._known.pop(chain, None)
        now = self._clock.now()
        spiffe_id = x509.verify(chain, bundles, now)
        roots = [authority.der for authority in bundles[spiffe_id.trust_domain].x509_authorities]
        ends = [dates_of(load(one))[1].timestamp() for one in (*chain, *roots)]
        since = now.timestamp()
        # Those that have ended already were no help.
        until = min(end for end in ends if end >= since)
        known = _Known(Proven(spiffe_id, int(ends[0])), bundles, since, until)
        if len(self._known) >= self._kept:
            del self._known[next(iter(self._known))]
        self._known[chain] = known
        return known
