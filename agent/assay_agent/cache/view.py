"""What one set of workload selectors is entitled to, at one moment."""

from dataclasses import dataclass

from assay.bundle import Bundle
from assay.entry import Entry
from assay.svid import X509Svid


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Identity:
    """An entry with its SVID. One object stands for the pair as long as both last: compare with `is`."""

    entry: Entry
    svid: X509Svid


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class WorkloadView:
    """Identities by ascending entry ID (the first is the workload's default), the own bundle, the federated ones.

    `federated` holds, by trust domain, the bundles known of the domains that the caller's entries federate with.
    `pending` are matching entries whose SVID is not signed yet.
    """

    identities: tuple[Identity, ...]
    bundle: Bundle
    federated: tuple[Bundle, ...] = ()
    pending: tuple[Entry, ...] = ()

    @property
    def entitled(self) -> bool:
        """Whether any entry matches."""
        return bool(self.identities or self.pending)

    def same_as(self, other: "WorkloadView") -> bool:
        """Whether both say the same."""
        return (
            self.identities == other.identities
            and self.bundle == other.bundle
            and self.federated == other.federated
            and self.pending == other.pending
        )
