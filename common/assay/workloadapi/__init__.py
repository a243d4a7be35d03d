"""The SPIFFE Workload API: where to find it, a client, and sources that follow what the agent renews.

    async with X509Source() as source:
        source.svid()       # the newest, with its key
        source.bundles()    # to verify others with

`assay.workloadapi.blocking` has the same names for programs without an event loop.
"""

from assay.workloadapi.address import Endpoint
from assay.workloadapi.bundlesource import JwtBundleSource, WitBundleSource, X509BundleSource
from assay.workloadapi.client import WorkloadApiClient
from assay.workloadapi.errors import (
    ForkedError,
    MalformedResponseError,
    NoIdentityError,
    NoSuchIdentityError,
    SourceClosedError,
    SourceNotReadyError,
    SvidExpiredError,
)
from assay.workloadapi.jwtsource import JwtSource
from assay.workloadapi.status import Status
from assay.workloadapi.values import HintedJwtSvid, HintedWitSvid, HintedX509Svid, ValidatedJwt, X509Context
from assay.workloadapi.witsource import WitSource
from assay.workloadapi.x509source import X509Source

__all__ = [
    "Endpoint",
    "ForkedError",
    "HintedJwtSvid",
    "HintedWitSvid",
    "HintedX509Svid",
    "JwtBundleSource",
    "JwtSource",
    "MalformedResponseError",
    "NoIdentityError",
    "NoSuchIdentityError",
    "SourceClosedError",
    "SourceNotReadyError",
    "Status",
    "SvidExpiredError",
    "ValidatedJwt",
    "WitBundleSource",
    "WitSource",
    "WorkloadApiClient",
    "X509BundleSource",
    "X509Context",
    "X509Source",
]
