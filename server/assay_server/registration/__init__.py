"""What operators register: entries and bundles."""

from assay_server.registration.bundles import BundleService, BundleUpdate, DeleteMode
from assay_server.registration.entries import EntryService, EntryUpdate, Registered
from assay_server.registration.pruning import EntryPruning

__all__ = ["BundleService", "BundleUpdate", "DeleteMode", "EntryPruning", "EntryService", "EntryUpdate", "Registered"]
