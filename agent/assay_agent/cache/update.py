"""What the server told the agent, as one step for the cache."""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.bundle import Bundle
from assay.entry import Entry
from assay.spiffeid import TrustDomain


@dataclass(frozen=True, slots=True)
class Update:
    """A snapshot, which replaces everything, or a delta, which names what came, changed or went.

    With `snapshot` the entries and bundles listed are all there are and the removals are ignored. The own trust
    domain's bundle is never removed: the server is authenticated with it.
    """

    snapshot: bool = False
    entries: Sequence[Entry] = ()
    removed: Sequence[str] = ()
    bundles: Sequence[Bundle] = ()
    removed_bundles: Sequence[TrustDomain] = ()
