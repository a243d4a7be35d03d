"""The SPIFFE Workload API: its wire, where to find it, and a small client."""

from assay.workloadapi.address import Endpoint
from assay.workloadapi.client import WorkloadApiClient

__all__ = ["Endpoint", "WorkloadApiClient"]
