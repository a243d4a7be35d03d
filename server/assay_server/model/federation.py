"""Federation relationships: where a foreign trust domain's bundle is fetched, and how its endpoint proves itself."""

from dataclasses import dataclass

from assay.spiffeid import SpiffeId, TrustDomain


@dataclass(frozen=True, slots=True)
class HttpsWebProfile:
    """The endpoint has a certificate of the Web PKI (SPIFFE Federation section 5.2.1)."""


@dataclass(frozen=True, slots=True)
class HttpsSpiffeProfile:
    """The endpoint has an X.509-SVID with this SPIFFE ID, of whatever trust domain (section 5.2.2)."""

    endpoint_spiffe_id: SpiffeId


EndpointProfile = HttpsWebProfile | HttpsSpiffeProfile


@dataclass(frozen=True, slots=True)
class FederationRelationship:
    """One for each foreign trust domain; the URL is as `parse_endpoint_url` gives it."""

    trust_domain: TrustDomain
    bundle_endpoint_url: str
    bundle_endpoint_profile: EndpointProfile
