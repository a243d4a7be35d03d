"""What Envoys call the secrets of a workload; the names and their order are those of SPIRE's agent."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

from assay.bundle import Bundle
from assay_agent.cache import Identity, WorkloadView
from assay_agent.config.settings import SdsSettings


@dataclass(frozen=True, slots=True)
class AllBundles:
    """Every bundle that the workload may use, for a validator that takes each for its own trust domain only."""

    bundles: tuple[Bundle, ...]


Content: TypeAlias = Identity | Bundle | AllBundles


@dataclass(frozen=True, slots=True)
class Offer:
    """The secrets of a view: `listed` is what a caller gets that names none, `named` are other names for them.

    `listed` is in the order in which it is sent, `rank` is that of the names. Of several identities with one SPIFFE ID
    the first stands for it. `pending` are SPIFFE IDs whose SVID is being signed.
    """

    listed: Mapping[str, Content]
    named: Mapping[str, Content]
    rank: Mapping[str, int]
    pending: AbstractSet[str]


@dataclass(frozen=True, slots=True)
class Choice:
    """Secrets by the names they were asked by, and the names that are nobody's."""

    found: Mapping[str, Content]
    missing: tuple[str, ...] = ()


def offer(view: WorkloadView, settings: SdsSettings) -> Offer:
    """What there is for the workload: bundles first, then SVIDs, the default one first."""
    own = {str(view.bundle.trust_domain.id): view.bundle}
    federated = {str(bundle.trust_domain.id): bundle for bundle in view.federated}
    svids: dict[str, Content] = {}
    # Of those with one hint, too: a secret has no hint that would have to be unique.
    identities = view.all_identities
    for identity in identities:
        svids.setdefault(str(identity.entry.spiffe_id), identity)
    names: tuple[tuple[str, Content], ...] = (
        *own.items(),
        (settings.default_bundle_name, view.bundle),
        (settings.default_all_bundles_name, AllBundles((view.bundle, *view.federated))),
        *federated.items(),
        *svids.items(),
        *((settings.default_svid_name, identity) for identity in identities[:1]),
    )
    named: dict[str, Content] = {}
    for name, content in names:
        named.setdefault(name, content)
    rank = {name: position for position, name in enumerate(named)}
    return Offer({**own, **federated, **svids}, named, rank, {str(entry.spiffe_id) for entry in view.pending})


def choose(offered: Offer, names: frozenset[str]) -> Choice:
    """What the names stand for; without any, all there is."""
    if not names:
        return Choice(offered.listed)
    known = sorted((name for name in names if name in offered.rank), key=offered.rank.__getitem__)
    return Choice({name: offered.named[name] for name in known}, tuple(sorted(names.difference(known))))
