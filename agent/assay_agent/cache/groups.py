"""Which followers a change concerns, without asking all of them."""

from collections.abc import Iterator, Sequence

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import TrustDomain
from assay_agent.cache.subscription import Group


class Groups:
    """The groups there are, by their set of selectors and by each of its selectors."""

    def __init__(self) -> None:
        self._groups: dict[frozenset[Selector], Group] = {}
        self._having: dict[Selector, set[Group]] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(tuple(self._groups.values()))

    def get(self, selectors: frozenset[Selector]) -> Group | None:
        """The group with exactly these selectors."""
        return self._groups.get(selectors)

    def add(self, group: Group) -> None:
        """Know the group from now on."""
        self._groups[group.selectors] = group
        for selector in group.selectors:
            self._having.setdefault(selector, set()).add(group)

    def remove(self, group: Group) -> None:
        """Forget the group."""
        del self._groups[group.selectors]
        for selector in group.selectors:
            having = self._having[selector]
            having.discard(group)
            if not having:
                del self._having[selector]

    def matching(self, entry: Entry) -> Sequence[Group]:
        """Groups that have every selector of the entry; of none, if it has none."""
        if not entry.selectors or entry.store_svid:
            return ()
        candidates = min((self._having.get(selector, set[Group]()) for selector in entry.selectors), key=len)
        needed = frozenset(entry.selectors)
        return [group for group in candidates if needed <= group.selectors]

    def federating(self, trust_domain: TrustDomain) -> Sequence[Group]:
        """Groups with an entry that federates with the trust domain."""
        return [
            group
            for group in self._groups.values()
            if any(trust_domain in entry.federates_with for entry in group.entries.values())
        ]
