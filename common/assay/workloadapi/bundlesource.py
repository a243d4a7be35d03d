"""Bundles alone, for programs that verify SVIDs and need none of their own."""

from collections.abc import AsyncGenerator, Mapping
from types import MappingProxyType
from typing import TypeAlias

from assay.bundle import Bundle
from assay.bundle.jwks import parse_jwt, parse_wit
from assay.errors import InvalidArgumentError
from assay.spiffeid import TrustDomain
from assay.workloadapi.client import Refused, WorkloadApiClient
from assay.workloadapi.errors import MalformedResponseError
from assay.workloadapi.following import converted
from assay.workloadapi.source import Source
from assay.workloadapi.x509source import x509_bundles

Bundles: TypeAlias = Mapping[TrustDomain, Bundle]

NO_BUNDLES: Bundles = MappingProxyType({})


class BundleStream(Source[Bundles]):
    """A source of bundles; the last good ones are kept while the agent is away, and none once it has withdrawn them."""

    def bundles(self) -> Bundles:
        """Authorities by trust domain, federated ones too; empty once the agent has withdrawn them.

        Raises:
            SourceClosedError: the source is not open.
        """
        return self._current_or(NO_BUNDLES)


class X509BundleSource(BundleStream):
    """Follows `FetchX509Bundles`: what X.509-SVIDs are verified with. A `BundleSource` of `assay.verify`."""

    def _watch(self, client: WorkloadApiClient, on_malformed: Refused) -> AsyncGenerator[Bundles]:
        return converted(client.watch_x509_bundles(on_malformed=on_malformed), x509_bundles, on_malformed)


class JwtBundleSource(BundleStream):
    """Follows `FetchJWTBundles`: what JWT-SVIDs are verified with. A `BundleSource` of `assay.verify`."""

    def _watch(self, client: WorkloadApiClient, on_malformed: Refused) -> AsyncGenerator[Bundles]:
        return converted(client.watch_jwt_bundles(on_malformed=on_malformed), jwt_bundles, on_malformed)


class WitBundleSource(BundleStream):
    """Follows `FetchWITBundles`: what WIT-SVIDs are verified with. A `BundleSource` of `assay.verify`."""

    def _watch(self, client: WorkloadApiClient, on_malformed: Refused) -> AsyncGenerator[Bundles]:
        return converted(client.watch_wit_bundles(on_malformed=on_malformed), wit_bundles, on_malformed)


def jwt_bundles(documents: Mapping[TrustDomain, bytes]) -> Bundles:
    """As values of JWT authorities alone: they verify no X.509-SVID (Workload API, section 6.2.2).

    Raises:
        MalformedResponseError: a document is no JWK Set.
    """
    try:
        return MappingProxyType({name: parse_jwt(name, document) for name, document in documents.items()})
    except InvalidArgumentError as error:
        raise MalformedResponseError(f"malformed Workload API response: {error.message}") from None


def wit_bundles(documents: Mapping[TrustDomain, str]) -> Bundles:
    """As values of WIT authorities alone: they verify no other SVID (Workload API, section 7.2.2).

    Raises:
        MalformedResponseError: a document is no JWK Set.
    """
    try:
        return MappingProxyType({name: parse_wit(name, document.encode()) for name, document in documents.items()})
    except InvalidArgumentError as error:
        raise MalformedResponseError(f"malformed Workload API response: {error.message}") from None
