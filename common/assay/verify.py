"""Verifiers: from what a peer presented to a SPIFFE ID that is proven and wanted, or a refusal with its reason.

The rules are those of `assay.svid.x509` and `assay.svid.jwt`; here they meet a source of bundles, an authorizer and a
clock. An ID of a foreign trust domain passes if the source has that domain's bundle (one's federation decides what it
has) and the authorizer admits the ID; only its own domain's authorities ever vouch for it.

A verifier asks its source anew each time and takes what it has. How old that may be is the source's affair: it alone
knows when it last heard. With a `status`, what its issuer has ended before its time is refused as well, and so is
whatever nobody can vouch for.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from assay.authorize import Authorizer
from assay.bundle import Bundle
from assay.clock import Clock, SystemClock
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.standing import StatusCheck
from assay.svid import JwtSvid, WitSvid, jwt, x509
from assay.svid.refusal import Reason, RefusedError, SvidRefusedError

__all__ = ["BundleSource", "FixedBundles", "JwtVerifier", "RefusedError", "WitVerifier", "X509Verifier"]


class BundleSource(Protocol):
    """Where verifiers have bundles from."""

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """What is trusted now, by trust domain. Never blocks and never fails: what is not known is not there."""
        ...


class FixedBundles:
    """Bundles that stay as they are, such as those of a file.

    Raises:
        InvalidArgumentError: two are of one trust domain.
    """

    def __init__(self, *bundles: Bundle) -> None:
        found = {bundle.trust_domain: bundle for bundle in bundles}
        if len(found) != len(bundles):
            raise InvalidArgumentError("two bundles of one trust domain")
        self._bundles = MappingProxyType(found)

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """Those it was made with."""
        return self._bundles


class X509Verifier:
    """Takes X.509-SVIDs (X509-SVID section 5) that a bundle vouches for and `authorize` admits."""

    def __init__(
        self,
        bundles: BundleSource,
        authorize: Authorizer,
        clock: Clock | None = None,
        *,
        status: StatusCheck | None = None,
    ) -> None:
        self._source = bundles
        self._authorize = authorize
        self._clock = clock or SystemClock()
        self._status = status

    def verify(self, chain: Sequence[bytes]) -> SpiffeId:
        """Whose chain (certificates as DER, leaf first) it is. That the peer has the key is TLS's to show.

        Raises:
            SvidRefusedError: no X.509-SVID that is valid now.
            StatusUnknownError: whether its identity counts still cannot be learnt.
            NotAuthorizedError: a valid one of somebody who is not wanted.
        """
        now = self._clock.now()
        spiffe_id = x509.verify(chain, self._source.bundles(), now)
        if self._status is not None:
            # Its end was looked at with all else; an identity is withdrawn whatever its certificates' ends.
            self._status.check("", spiffe_id, math.inf, now.timestamp())
        self._authorize.check(spiffe_id)
        return spiffe_id


class JwtVerifier:
    """Takes JWT-SVIDs (JWT-SVID section 4) for one of its audiences that a bundle vouches for and `authorize` admits.

    `audience` is what this service answers to: one name or several, compared byte by byte.

    Raises:
        InvalidArgumentError: no audience, or an empty one (JWT-SVID appendix A).
    """

    def __init__(
        self,
        bundles: BundleSource,
        audience: str | Collection[str],
        authorize: Authorizer,
        clock: Clock | None = None,
        *,
        status: StatusCheck | None = None,
    ) -> None:
        self._status = status
        self._source = bundles
        self._audiences = jwt.accepted_audiences(audience)
        self._authorize = authorize
        self._clock = clock or SystemClock()

    def verify(self, token: str) -> JwtSvid:
        """What the token says, once all of it is proven.

        Raises:
            SvidRefusedError: no JWT-SVID for this audience that is valid now.
            StatusUnknownError: whether it counts still cannot be learnt.
            NotAuthorizedError: a valid one of somebody who is not wanted.
        """
        now = self._clock.now()
        svid = jwt.verify(token, self._source.bundles(), self._audiences, now)
        if self._status is not None:
            self._status.check(_jti(svid.claims), svid.spiffe_id, svid.expires_at, now.timestamp())
        self._authorize.check(svid.spiffe_id)
        return svid


class WitVerifier:
    """Takes WIT-SVIDs (WIT-SVID section 4) whose holder proves it: a bundle vouches for them, `authorize` admits them.

    `audience` is what proofs are for, this service's own name: such as the URI that callers know it by.

    Raises:
        InvalidArgumentError: no audience.
    """

    def __init__(
        self,
        bundles: BundleSource,
        audience: str,
        authorize: Authorizer,
        clock: Clock | None = None,
        *,
        status: StatusCheck | None = None,
    ) -> None:
        self._status = status
        (self._audience,) = jwt.accepted_audiences(audience)
        self._source = bundles
        self._authorize = authorize
        self._clock = clock or SystemClock()

    def verify(self, token: str, proof: str, *, access_token: str = "") -> WitSvid:
        """What the token says, once all of it is proven and so is that the caller holds its key.

        `proof` is a Workload Proof Token; one that was made together with an access token is checked with it.

        Raises:
            SvidRefusedError: no WIT-SVID that is valid now, or no proof for it.
            StatusUnknownError: whether it counts still cannot be learnt.
            NotAuthorizedError: a proven one of somebody who is not wanted.
        """
        from assay.svid import proof as proofs  # noqa: PLC0415 - few ask for it, and all import this module
        from assay.svid import wit  # noqa: PLC0415 - likewise

        now = self._clock.now()
        svid = wit.verify(token, self._source.bundles(), now)
        proofs.verify(proof, svid, self._audience, now, access_token=access_token)
        if self._status is not None:
            self._status.check(_jti(svid.claims), svid.spiffe_id, svid.expires_at, now.timestamp())
        self._authorize.check(svid.spiffe_id)
        return svid


def _jti(claims: Mapping[str, object]) -> str:
    named = claims.get("jti", "")
    if not isinstance(named, str):
        raise SvidRefusedError(Reason.MALFORMED, "token has an invalid jti claim: not a text")
    return named
