"""The names of `assay.workloadapi` for programs without an event loop: the same behaviour, plain calls.

    with X509Source() as source:
        source.svid()

Each source and client has a background thread; what it serves may be read from any thread.
"""

from assay.workloadapi.blocking.client import WorkloadApiClient
from assay.workloadapi.blocking.sources import (
    JwtBundleSource,
    JwtSource,
    WitBundleSource,
    WitSource,
    X509BundleSource,
    X509Source,
)

__all__ = [
    "JwtBundleSource",
    "JwtSource",
    "WitBundleSource",
    "WitSource",
    "WorkloadApiClient",
    "X509BundleSource",
    "X509Source",
]
