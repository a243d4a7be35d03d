"""Bundles: our own trust domain's, and those of the trust domains we federate with.

Deleting a federated bundle keeps `federates_with` true: entries that name it stop the deletion, go with it, or
lose the name, as the caller says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import structlog

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.errors import (
    AlreadyExistsError,
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from assay.spiffeid import TrustDomain
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.registration.batch import write_each
from assay_server.registration.bundle_change import appended, check_key_ids
from assay_server.registration.own_bundle import OwnBundle

log = structlog.get_logger(__name__)


class DeleteMode(Enum):
    """What becomes of entries that federate with a deleted bundle: they forbid it, are deleted, or forget it."""

    RESTRICT = 0
    DELETE = 1
    DISSOCIATE = 2


@dataclass(frozen=True, slots=True)
class BundleUpdate:
    """New values for the bundle of that trust domain: those of `fields`, or all when it is None."""

    bundle: Bundle
    fields: frozenset[str] | None = None


class BundleService:
    """What operators and agents do with bundles."""

    def __init__(self, store: Store, trust_domain: TrustDomain) -> None:
        self._store = store
        self._trust_domain = trust_domain
        self._own = OwnBundle(store, trust_domain)

    async def own(self) -> Bundle:
        """Our own trust domain's bundle.

        Raises:
            NotFoundError: no authority was published yet.
        """
        bundle = await self._own.get()
        if bundle is None:
            raise NotFoundError("bundle not found")
        return bundle

    async def append(
        self, x509: Sequence[X509Authority], jwt: Sequence[JwtAuthority], wit: Sequence[WitAuthority] = ()
    ) -> Bundle:
        """Add authorities to our own bundle; the bundle as it is then.

        Raises:
            InvalidArgumentError: there is nothing to add, or a key ID would name two keys.
        """
        if not (x509 or jwt or wit):
            raise InvalidArgumentError("no authorities to append")
        return await self._store.write(lambda tx: _append(tx, self._trust_domain, x509, jwt, wit))

    async def federated(self, trust_domain: TrustDomain) -> Bundle:
        """A foreign trust domain's bundle.

        Raises:
            InvalidArgumentError: it is our own trust domain.
            NotFoundError: we have none.
        """
        self._check_foreign(trust_domain, "getting a federated bundle for the server's own trust domain")
        return await self._get(trust_domain)

    async def list_federated(self, page: Page) -> tuple[list[Bundle], str]:
        """Foreign bundles, and the token of the next page; a page may be short by our own bundle."""
        bundles, token = await self._store.read(lambda tx: tx.bundles.find(page))
        return [bundle for bundle in bundles if bundle.trust_domain != self._trust_domain], token

    async def count(self) -> int:
        """How many bundles there are, our own included."""
        return await self._store.read(lambda tx: tx.bundles.count())

    async def create(self, bundles: Sequence[Bundle]) -> list[Bundle | AssayError]:
        """Add foreign bundles that are not there yet."""
        return _said(await write_each(self._store, bundles, self._create), log.debug, "Federated bundle created")

    async def set(self, bundles: Sequence[Bundle]) -> list[Bundle | AssayError]:
        """Add foreign bundles or replace them."""
        return _said(await write_each(self._store, bundles, self._set), log.info, "Bundle set successfully")

    async def update(self, updates: Sequence[BundleUpdate]) -> list[Bundle | AssayError]:
        """Change foreign bundles that are there."""
        return _said(await write_each(self._store, updates, self._update), log.debug, "Federated bundle updated")

    async def delete(self, trust_domains: Sequence[TrustDomain], mode: DeleteMode) -> list[AssayError | None]:
        """Remove foreign bundles."""
        return await write_each(self._store, trust_domains, lambda tx, each: self._delete(tx, each, mode))

    async def _get(self, trust_domain: TrustDomain) -> Bundle:
        bundle = await self._store.read(lambda tx: tx.bundles.get(trust_domain))
        if bundle is None:
            raise NotFoundError("bundle not found")
        return bundle

    def _create(self, tx: Transaction, bundle: Bundle) -> Bundle:
        self._check_foreign(bundle.trust_domain, "creating a federated bundle for the server's own trust domain")
        if tx.bundles.get(bundle.trust_domain) is not None:
            raise AlreadyExistsError("bundle already exists")
        check_key_ids(bundle)
        tx.bundles.put(bundle)
        return bundle

    def _set(self, tx: Transaction, bundle: Bundle) -> Bundle:
        self._check_foreign(bundle.trust_domain, "setting a federated bundle for the server's own trust domain")
        return put_replaced(tx, tx.bundles.get(bundle.trust_domain), bundle)

    def _update(self, tx: Transaction, update: BundleUpdate) -> Bundle:
        bundle = update.bundle
        self._check_foreign(bundle.trust_domain, "updating a federated bundle for the server's own trust domain")
        stored = tx.bundles.get(bundle.trust_domain)
        if stored is None:
            raise NotFoundError("bundle not found")
        if update.fields is not None:
            bundle = replace(stored, **{field: getattr(bundle, field) for field in update.fields})
        return put_replaced(tx, stored, bundle)

    def _delete(self, tx: Transaction, trust_domain: TrustDomain, mode: DeleteMode) -> None:
        self._check_foreign(trust_domain, "removing the bundle for the server trust domain")
        if tx.bundles.get(trust_domain) is None:
            raise NotFoundError("bundle not found")
        _release(tx, trust_domain, mode)
        tx.bundles.delete(trust_domain)

    def _check_foreign(self, trust_domain: TrustDomain, doing: str) -> None:
        if trust_domain == self._trust_domain:
            raise InvalidArgumentError(f"{doing} is not allowed")


def put_replaced(tx: Transaction, stored: Bundle | None, given: Bundle) -> Bundle:
    """Write the given bundle in place of the stored one, if that changes anything; the bundle as it is then.

    Its number stays the one given, as with SPIRE: a foreign trust domain numbers its bundles itself, and whoever sets
    one wants to read back what was set.
    """
    check_key_ids(given)
    if given != stored:
        tx.bundles.put(given)
    return given


def _append(
    tx: Transaction,
    trust_domain: TrustDomain,
    x509: Sequence[X509Authority],
    jwt: Sequence[JwtAuthority],
    wit: Sequence[WitAuthority],
) -> Bundle:
    stored = tx.bundles.get(trust_domain) or Bundle(trust_domain)
    bundle = appended(stored, x509, jwt, wit)
    if bundle is not stored:
        tx.bundles.put(bundle)
    return bundle


def _release(tx: Transaction, trust_domain: TrustDomain, mode: DeleteMode) -> None:
    entries = tx.bundles.federated_entries(trust_domain)
    if entries and mode is DeleteMode.RESTRICT:
        raise FailedPreconditionError(
            f"datastore-sql: cannot delete bundle; federated with {len(entries)} registration entries",
            hint="delete those entries first, or choose the mode that deletes or dissociates them",
        )
    for entry in entries:
        if mode is DeleteMode.DELETE and not entry.principal:  # only unbinding ends bindings
            tx.entries.delete(entry.id)
        else:
            left = tuple(each for each in entry.federates_with if each != trust_domain)
            tx.entries.update(replace(entry, federates_with=left, revision=entry.revision + 1))


def _said(outcomes: list[Bundle | AssayError], say: Callable[..., object], message: str) -> list[Bundle | AssayError]:
    """The outcomes, with a line in the log for each bundle, in SPIRE's words."""
    for bundle in outcomes:
        if isinstance(bundle, Bundle):
            say(message, trust_domain_id=bundle.trust_domain.name)
    return outcomes
