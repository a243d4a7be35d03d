"""The client of `assay.workloadapi`, with a thread of its own."""

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from assay.spiffeid import SpiffeId, TrustDomain
from assay.workloadapi import client
from assay.workloadapi.address import Endpoint
from assay.workloadapi.blocking.backed import Backed
from assay.workloadapi.client import Refused
from assay.workloadapi.values import HintedJwtSvid, HintedWitSvid, ValidatedJwt, X509Context

V = TypeVar("V")


class WorkloadApiClient(Backed[client.WorkloadApiClient]):
    """As `assay.workloadapi.WorkloadApiClient`, as a context manager. `on_malformed` is called in another thread.

    What watches should be closed, or run to its end, before the client is.
    """

    def __init__(self, endpoint: Endpoint | Path | str | None = None) -> None:
        super().__init__(client.WorkloadApiClient, endpoint)

    def watch_x509(self, *, within: float | None = None, on_malformed: Refused | None = None) -> Generator[X509Context]:
        """X.509-SVIDs and bundles, now and on every change."""
        return self._iterated(lambda: self._client.watch_x509(within=within, on_malformed=on_malformed))

    def watch_x509_bundles(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> Generator[Mapping[TrustDomain, tuple[bytes, ...]]]:
        """CA certificates (DER) by trust domain, now and on every change."""
        return self._iterated(lambda: self._client.watch_x509_bundles(within=within, on_malformed=on_malformed))

    def watch_jwt_bundles(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> Generator[Mapping[TrustDomain, bytes]]:
        """JWK Set documents by trust domain, now and on every change."""
        return self._iterated(lambda: self._client.watch_jwt_bundles(within=within, on_malformed=on_malformed))

    def watch_wit(
        self, spiffe_id: SpiffeId | None = None, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> Generator[tuple[HintedWitSvid, ...]]:
        """WIT-SVIDs with their keys, of one identity or of each the caller has: now and on every change."""
        return self._iterated(lambda: self._client.watch_wit(spiffe_id, within=within, on_malformed=on_malformed))

    def watch_wit_bundles(
        self, *, within: float | None = None, on_malformed: Refused | None = None
    ) -> Generator[Mapping[TrustDomain, str]]:
        """JWK Set documents of WIT keys by trust domain, now and on every change."""
        return self._iterated(lambda: self._client.watch_wit_bundles(within=within, on_malformed=on_malformed))

    def fetch_x509(self, *, within: float | None = None) -> X509Context:
        """X.509-SVIDs and bundles as they are now."""
        return self._background.run(lambda: self._client.fetch_x509(within=within))

    def fetch_wit(self, spiffe_id: SpiffeId | None = None, *, within: float | None = None) -> tuple[HintedWitSvid, ...]:
        """WIT-SVIDs with their keys as they are now: of one identity, or of each the caller has."""
        return self._background.run(lambda: self._client.fetch_wit(spiffe_id, within=within))

    def fetch_jwt(
        self, audience: str | Sequence[str], spiffe_id: SpiffeId | None = None, *, within: float | None = None
    ) -> tuple[HintedJwtSvid, ...]:
        """JWT-SVIDs for the audience, or for all of several: of one identity, or of each the caller has."""
        return self._background.run(lambda: self._client.fetch_jwt(audience, spiffe_id, within=within))

    def validate_jwt(self, audience: str, token: str, *, within: float | None = None) -> ValidatedJwt:
        """The token's identity and claims, if it is valid for the audience."""
        return self._background.run(lambda: self._client.validate_jwt(audience, token, within=within))
