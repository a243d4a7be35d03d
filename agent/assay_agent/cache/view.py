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
    `pending` are matching entries whose SVID is not signed yet. `repeated` are identities left out of `identities`
    because an older entry has their hint. `instanced` are matching entries of which each process has an SVID of its
    own, as far as this view has none: `assay_agent.instance` puts those in.
    """

    identities: tuple[Identity, ...]
    bundle: Bundle
    federated: tuple[Bundle, ...] = ()
    pending: tuple[Entry, ...] = ()
    repeated: tuple[Identity, ...] = ()
    instanced: tuple[Entry, ...] = ()

    @property
    def entitled(self) -> bool:
        """Whether any entry matches."""
        return bool(self.identities or self.pending or self.instanced)

    @property
    def all_identities(self) -> tuple[Identity, ...]:
        """Those with repeated hints, too, by ascending entry ID."""
        if not self.repeated:
            return self.identities
        return tuple(sorted((*self.identities, *self.repeated), key=lambda identity: identity.entry.id))

    def same_as(self, other: "WorkloadView") -> bool:
        """Whether both say the same."""
        return (
            self.identities == other.identities
            and self.bundle == other.bundle
            and self.federated == other.federated
            and self.pending == other.pending
            and self.repeated == other.repeated
            and self.instanced == other.instanced
        )
