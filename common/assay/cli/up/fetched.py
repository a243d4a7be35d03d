"""What `assay up` fetched and found to be right."""

from dataclasses import dataclass
from datetime import UTC, datetime

from assay.bundle import Bundle
from assay.errors import UnauthenticatedError
from assay.spiffeid import SpiffeId
from assay.svid import JwtSvid, X509Svid, jwt, x509
from assay.workloadapi.values import HintedJwtSvid, X509Context


@dataclass(frozen=True, slots=True)
class Fetched:
    """Both SVIDs, verified against the server's bundle."""

    x509: X509Svid
    jwt: JwtSvid
    bundle: Bundle

    @property
    def rotates_at(self) -> datetime:
        """About when the agent replaces the X.509-SVID: half-way through its life."""
        return datetime.fromtimestamp((self.x509.not_before + self.x509.not_after) / 2, UTC)


def verified(
    context: X509Context,
    tokens: tuple[HintedJwtSvid, ...],
    bundle: Bundle,
    expected: SpiffeId,
    audience: str,
    now: datetime,
) -> Fetched:
    """Check that both SVIDs are of `expected` and that the bundle vouches for them.

    Raises:
        AssayError: one is missing, or not what it should be.
    """
    bundles = {bundle.trust_domain: bundle}
    svid = next((one.svid for one in context.svids if one.svid.spiffe_id == expected), None)
    token = next((one.token for one in tokens if one.spiffe_id == expected), None)
    if svid is None or token is None:
        raise UnauthenticatedError(f"the agent gave no SVID for {expected}")
    x509.verify(svid.chain, bundles, now)
    checked = jwt.verify(token, bundles, audience, now)
    if checked.spiffe_id != expected:
        raise UnauthenticatedError(f"the JWT-SVID is of {checked.spiffe_id}, not of {expected}")
    return Fetched(svid, checked, bundle)
