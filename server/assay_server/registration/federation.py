"""Federation relationships: with whom, and where their bundles are fetched.

A relationship may bring the trust domain's bundle, which then replaces the stored one. Apart from that the two are
independent, as in SPIRE: deleting one leaves the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from assay.bundle import Bundle
from assay.errors import AlreadyExistsError, AssayError, InvalidArgumentError, NotFoundError, UnimplementedError
from assay.spiffeid import TrustDomain
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.model import FederationRelationship, HttpsSpiffeProfile
from assay_server.registration.batch import write_each
from assay_server.registration.bundles import put_replaced

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Federated:
    """A relationship, and the trust domain's bundle if there is one."""

    relationship: FederationRelationship
    bundle: Bundle | None = None


@dataclass(frozen=True, slots=True)
class FederationUpdate:
    """New values for the relationship with that trust domain: those of `fields`, or all when it is None.

    `with_bundle` says whether the bundle is to be replaced, if one is given.
    """

    given: Federated
    fields: frozenset[str] | None = None
    with_bundle: bool = True


class FederationService:
    """What operators do with federation relationships."""

    def __init__(self, store: Store, trust_domain: TrustDomain) -> None:
        self._store = store
        self._trust_domain = trust_domain

    async def get(self, trust_domain: TrustDomain) -> Federated:
        """The relationship with that trust domain.

        Raises:
            NotFoundError: there is none.
        """
        found = await self._store.read(lambda tx: _get(tx, trust_domain))
        if found is None:
            raise NotFoundError("federation relationship does not exist")
        return found

    async def find(self, page: Page) -> tuple[list[Federated], str]:
        """Relationships in order of creation, and the token of the next page."""
        return await self._store.read(lambda tx: _find(tx, page))

    async def create(self, given: Sequence[Federated]) -> list[Federated | AssayError]:
        """Add relationships that are not there yet; their bundles are those given, even where others are stored."""
        outcomes = await write_each(self._store, given, self._create)
        await self._tell("Federation relationship created", outcomes)
        return outcomes

    async def update(self, updates: Sequence[FederationUpdate]) -> list[Federated | AssayError]:
        """Change relationships that are there."""
        outcomes = await write_each(self._store, updates, _update)
        await self._tell("Federation relationship updated", outcomes)
        return outcomes

    async def delete(self, trust_domains: Sequence[TrustDomain]) -> list[AssayError | None]:
        """Remove relationships; the trust domains' bundles stay."""
        outcomes = await write_each(self._store, trust_domains, _delete)
        for trust_domain, error in zip(trust_domains, outcomes, strict=True):
            if error is None:
                log.debug("Federation relationship deleted", trust_domain_id=trust_domain.name)
        return outcomes

    async def refresh(self, trust_domain: TrustDomain) -> None:
        """Fetch that trust domain's bundle from its endpoint.

        Raises:
            NotFoundError: there is no relationship with it.
            UnimplementedError: always otherwise.
        """
        if await self._store.read(lambda tx: tx.federation_relationships.get(trust_domain)) is None:
            raise NotFoundError(f'no relationship with trust domain "{trust_domain}"')
        raise UnimplementedError(
            "fetching bundles from bundle endpoints is not built yet", hint="set the trust domain's bundle by hand"
        )

    def _create(self, tx: Transaction, given: Federated) -> Federated:
        trust_domain = given.relationship.trust_domain
        if trust_domain == self._trust_domain:
            raise InvalidArgumentError("unable to create federation relationship for server trust domain")
        if tx.federation_relationships.get(trust_domain) is not None:
            raise AlreadyExistsError("federation relationship already exists")
        tx.federation_relationships.put(given.relationship)
        return replace(given, bundle=_put_bundle(tx, given.bundle))

    async def _tell(self, what: str, outcomes: Sequence[Federated | AssayError]) -> None:
        done = [each for each in outcomes if isinstance(each, Federated)]
        for each in done:
            log.debug(what, trust_domain_id=each.relationship.trust_domain.name)
        if needing := {name: each for each in done if (name := _vouching(each)) is not None}:
            there = await self._store.read(lambda tx: tx.bundles.get_many(needing))
            for name in needing.keys() - {bundle.trust_domain for bundle in there}:
                _warn(needing[name].relationship)


def _get(tx: Transaction, trust_domain: TrustDomain) -> Federated | None:
    relationship = tx.federation_relationships.get(trust_domain)
    return Federated(relationship, tx.bundles.get(trust_domain)) if relationship else None


def _find(tx: Transaction, page: Page) -> tuple[list[Federated], str]:
    relationships, token = tx.federation_relationships.find(page)
    names = [each.trust_domain for each in relationships]
    bundles = {bundle.trust_domain: bundle for bundle in tx.bundles.get_many(names)}
    return [Federated(each, bundles.get(each.trust_domain)) for each in relationships], token


def _update(tx: Transaction, update: FederationUpdate) -> Federated:
    given = update.given.relationship
    stored = tx.federation_relationships.get(given.trust_domain)
    if stored is None:
        raise NotFoundError("federation relationship not found")
    if update.fields is not None:
        given = replace(stored, **{field: getattr(given, field) for field in update.fields})
    if given != stored:
        tx.federation_relationships.put(given)
    if update.with_bundle:
        _put_bundle(tx, update.given.bundle)
    return Federated(given, tx.bundles.get(given.trust_domain))


def _put_bundle(tx: Transaction, bundle: Bundle | None) -> Bundle | None:
    return None if bundle is None else put_replaced(tx, tx.bundles.get(bundle.trust_domain), bundle)


def _delete(tx: Transaction, trust_domain: TrustDomain) -> None:
    if not tx.federation_relationships.delete(trust_domain):
        raise NotFoundError("federation relationship not found")


def _vouching(federated: Federated) -> TrustDomain | None:
    """The trust domain whose bundle has to vouch for the endpoint, unless it came along."""
    profile = federated.relationship.bundle_endpoint_profile
    if federated.bundle is not None or not isinstance(profile, HttpsSpiffeProfile):
        return None
    return profile.endpoint_spiffe_id.trust_domain


def _warn(relationship: FederationRelationship) -> None:
    profile = relationship.bundle_endpoint_profile
    if isinstance(profile, HttpsSpiffeProfile):
        log.warning(
            "bundle not found for the endpoint SPIFFE ID trust domain",
            trust_domain_id=relationship.trust_domain.name,
            endpoint_spiffe_id=str(profile.endpoint_spiffe_id),
        )
