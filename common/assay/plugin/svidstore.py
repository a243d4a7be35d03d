"""SVID stores: where SVIDs of entries with `store_svid` go, for workloads that cannot call the Workload API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from assay.spiffeid import SpiffeId, TrustDomain


@dataclass(frozen=True, slots=True)
class StoredSvid:
    """What is put there: the chain (DER, leaf first), its key (PKCS #8 DER), and the bundles' certificates (DER).

    `federated` has the bundles of the trust domains that the entry federates with.
    """

    spiffe_id: SpiffeId
    chain: tuple[bytes, ...]
    key: bytes = field(repr=False)
    bundle: tuple[bytes, ...]
    federated: Mapping[TrustDomain, tuple[bytes, ...]] = field(default_factory=dict[TrustDomain, tuple[bytes, ...]])


class SvidStore(Protocol):
    """Keeps one SVID for each target. A target is the values of an entry's selectors, sorted, such as `name:web`."""

    async def put(self, target: Sequence[str], svid: StoredSvid) -> None:
        """Store it in place of what was there; whoever reads meanwhile finds the old or the new, never a mixture.

        Raises:
            InvalidArgumentError: the target makes no sense here.
            AssayError: it cannot be stored now; what was there is unharmed.
        """
        ...

    async def delete(self, target: Sequence[str]) -> None:
        """Remove it; nothing if it is not there.

        Raises:
            InvalidArgumentError: the target makes no sense here.
            AssayError: it cannot be removed now.
        """
        ...
