"""What operators register: entries, bundles and federation relationships."""

from assay_server.registration.bundles import BundleService, BundleUpdate, DeleteMode
from assay_server.registration.entries import EntryService, EntryUpdate, Registered
from assay_server.registration.federation import Federated, FederationService, FederationUpdate
from assay_server.registration.pruning import EntryPruning

__all__ = [
    "BundleService",
    "BundleUpdate",
    "DeleteMode",
    "EntryPruning",
    "EntryService",
    "EntryUpdate",
    "Federated",
    "FederationService",
    "FederationUpdate",
    "Registered",
]
