"""Entries: created, updated and deleted in batches, listed and counted."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import (
    AlreadyExistsError,
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from assay.selector import sorted_distinct
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import EntryFilter, Page, Store, Transaction
from assay_server.registration import validate
from assay_server.registration.batch import write_each
from assay_server.registration.entry_id import new_entry_id


@dataclass(frozen=True, slots=True)
class Registered:
    """The entry as it is stored; `existing` when one with that SPIFFE ID, parent and selectors was there already."""

    entry: Entry
    existing: bool = False


@dataclass(frozen=True, slots=True)
class EntryUpdate:
    """New values for the entry of that ID: those of `fields`, or of all fields a caller may set when it is None."""

    entry: Entry
    fields: frozenset[str] | None = None


Unbound = Callable[[Transaction, Entry, str, int], None]
"""Writes down that a binding was deleted, by this actor at this Unix second."""


class EntryService:
    """What operators do with entries. Without `unbound`, bindings are not deleted here: nobody would write it down."""

    def __init__(self, store: Store, clock: Clock, trust_domain: TrustDomain, unbound: Unbound | None = None) -> None:
        self._store = store
        self._clock = clock
        self._trust_domain = trust_domain
        self._unbound = unbound

    async def create(self, entries: Sequence[Entry]) -> list[Registered | AssayError]:
        """Register each; an empty ID becomes a new one. Revision and time of creation are ours to set."""
        now = self._clock.now()
        at = int(now.timestamp())
        fresh = [_normal(each, id=each.id or new_entry_id(now), revision=0, created_at=at) for each in entries]
        return await write_each(self._store, fresh, self._create)

    async def update(self, updates: Sequence[EntryUpdate]) -> list[Entry | AssayError]:
        """Change each and raise its revision."""
        return await write_each(self._store, updates, self._update)

    async def delete(self, entry_ids: Sequence[str], actor: str = "") -> list[AssayError | None]:
        """Delete each; `actor` is who does it, as events of bindings say it."""
        now = int(self._clock.now().timestamp())
        return await write_each(self._store, entry_ids, lambda tx, entry_id: self._delete(tx, entry_id, actor, now))

    async def get(self, entry_id: str) -> Entry:
        """The entry of that ID.

        Raises:
            NotFoundError: there is none.
        """
        entry = await self._store.read(lambda tx: tx.entries.get(entry_id))
        if entry is None:
            raise NotFoundError("entry not found")
        return entry

    async def find(self, where: EntryFilter, page: Page) -> tuple[list[Entry], str]:
        """Entries in order of creation, and the token of the next page."""
        return await self._store.read(lambda tx: tx.entries.find(where, page))

    async def count(self, where: EntryFilter) -> int:
        """How many there are."""
        return await self._store.read(lambda tx: tx.entries.count(where))

    def _create(self, tx: Transaction, entry: Entry) -> Registered:
        validate.check_fields(entry, self._trust_domain)
        validate.check_whole(entry)
        same = tx.entries.find_same(entry.spiffe_id, entry.parent_id, entry.selectors)
        if same is not None:
            return Registered(same, existing=True)
        _check_ungoverned(tx, entry.spiffe_id)
        _check_bundles(tx, entry.federates_with)
        try:
            tx.entries.create(entry)
        except AlreadyExistsError:
            raise unique("registered_entries.entry_id", hint="another entry has this ID") from None
        return Registered(entry)

    def _update(self, tx: Transaction, update: EntryUpdate) -> Entry:
        validate.check_fields(update.entry, self._trust_domain, update.fields)
        stored = tx.entries.get(update.entry.id)
        if stored is None:
            raise NotFoundError("entry not found")
        entry = _merged(stored, update)
        validate.check_whole(entry, new=False)
        if stored.principal:
            validate.check_binding(stored, entry)
        elif entry.spiffe_id != stored.spiffe_id:
            _check_ungoverned(tx, entry.spiffe_id)
        _check_bundles(tx, frozenset(entry.federates_with) - frozenset(stored.federates_with))
        tx.entries.update(entry)
        return entry

    def _delete(self, tx: Transaction, entry_id: str, actor: str, now: int) -> None:
        if not entry_id:
            raise InvalidArgumentError("missing entry ID")
        binding = tx.entries.binding(entry_id)
        if binding is not None and self._unbound is None:
            raise validate.GovernedEntryError("entry is a principal's binding", hint="assay principal unbind")
        if not tx.entries.delete(entry_id):
            raise NotFoundError("entry not found")
        if binding is not None and self._unbound is not None:
            self._unbound(tx, binding, actor, now)


def _merged(stored: Entry, update: EntryUpdate) -> Entry:
    entry = update.entry
    if update.fields is not None:
        entry = replace(stored, **{field: getattr(update.entry, field) for field in update.fields})
    # What makes an entry a binding is not the Entry API's to say, nor to take away.
    entry = replace(entry, principal=stored.principal, instance_from=stored.instance_from, withheld=stored.withheld)
    return _normal(entry, id=stored.id, revision=stored.revision + 1, created_at=stored.created_at)


def _normal(entry: Entry, *, id: str, revision: int, created_at: int) -> Entry:  # noqa: A002 - the field's name
    return replace(
        entry,
        id=id,
        revision=revision,
        created_at=created_at,
        selectors=sorted_distinct(entry.selectors),
        federates_with=tuple(sorted(set(entry.federates_with))),
        dns_names=tuple(dict.fromkeys(entry.dns_names)),
    )


def unique(columns: str, *, hint: str) -> AlreadyExistsError:
    """The refusal of what may be there only once, in the words of SPIRE's database."""
    return AlreadyExistsError(f"datastore-sql: UNIQUE constraint failed: {columns}", hint=hint)


def _check_ungoverned(tx: Transaction, spiffe_id: SpiffeId) -> None:
    """Plain entries would give a principal's identity to what nobody answers for."""
    above = SpiffeId(spiffe_id.trust_domain, spiffe_id.path.rpartition("/")[0])
    for binding in tx.entries.bindings_at((spiffe_id, above)):
        if binding.spiffe_id == spiffe_id or binding.instance_from:
            raise validate.GovernedEntryError(
                f'{spiffe_id} is an ID of principal "{binding.principal}"',
                hint=f"bind it: assay principal bind {binding.principal}",
            )


def _check_bundles(tx: Transaction, trust_domains: Collection[TrustDomain]) -> None:
    if not trust_domains:
        return
    known = {bundle.trust_domain for bundle in tx.bundles.get_many(trust_domains)}
    for trust_domain in sorted(trust_domains):
        if trust_domain not in known:
            raise FailedPreconditionError(
                f'unable to find federated bundle "{trust_domain.id}"',
                hint="set that trust domain's bundle first",
            )
