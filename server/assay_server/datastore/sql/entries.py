"""Registration entries and what they own: selectors, DNS names and the trust domains they federate with."""

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from assay.entry import Entry
from assay.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from assay.selector import Selector, sorted_distinct
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import ChangeKind, EntryFilter, Page
from assay_server.datastore.sql.changes import SqlChanges
from assay_server.datastore.sql.connection import Connection, Row
from assay_server.datastore.sql.filters import count_of, page_of, selectors_of
from assay_server.datastore.sql.narrowing import asked
from assay_server.datastore.sql.owned import Owned
from assay_server.datastore.sql.text import entries as sql

_SELECTORS = Owned(sql.SELECTORS, sql.SELECTORS_BETWEEN)
_DNS_NAMES = Owned(sql.DNS_NAMES, sql.DNS_NAMES_BETWEEN)
_FEDERATES_WITH = Owned(sql.FEDERATES_WITH, sql.FEDERATES_WITH_BETWEEN)
_BINDINGS = Owned(sql.BINDINGS, sql.BINDINGS_BETWEEN)
_DISOWN = (sql.DELETE_SELECTORS, sql.DELETE_DNS_NAMES, sql.DELETE_FEDERATES_WITH, sql.DELETE_BINDING)
_UNBOUND = ("", "", 0)


class SqlEntries:
    """Implements base.Entries."""

    def __init__(self, connection: Connection, changes: SqlChanges) -> None:
        self._connection = connection
        self._changes = changes

    def get(self, entry_id: str) -> Entry | None:
        """The entry of that ID."""
        return self._one(self._connection.row(sql.BY_ID, {"wanted": entry_id}))

    def get_many(self, entry_ids: Collection[str]) -> list[Entry]:
        """Those there are, in order of creation."""
        return self._assemble(self._connection.rows(sql.BY_IDS, {"wanted": json.dumps(list(entry_ids))}))

    def find_same(self, spiffe_id: SpiffeId, parent_id: SpiffeId, selectors: Sequence[Selector]) -> Entry | None:
        """The oldest entry with that SPIFFE ID, parent and set of selectors."""
        wanted = _likeness(spiffe_id, parent_id, selectors)
        return self._one(self._connection.row(sql.BY_LIKENESS, {"spiffe_id": str(spiffe_id), "wanted": wanted}))

    def find(self, where: EntryFilter, page: Page) -> tuple[list[Entry], str]:
        """Entries in order of creation, and the token of the next page (empty at the end)."""
        found = asked(self._connection, where)
        rows, token = page_of(self._connection, found.listing, sql.AFTER, found.conditions, page)
        return self._assemble(rows), token

    def count(self, where: EntryFilter) -> int:
        """How many `find` would list."""
        found = asked(self._connection, where)
        return count_of(self._connection, found.counting, found.conditions)

    def by_parents(self, parent_ids: Collection[SpiffeId]) -> list[Entry]:
        """Entries whose parent is one of these, in order of creation."""
        wanted = json.dumps([str(parent) for parent in parent_ids])
        return self._assemble(self._connection.rows(sql.BY_PARENTS, {"wanted": wanted}))

    def by_spiffe_id(self, spiffe_id: SpiffeId) -> list[Entry]:
        """Entries for that SPIFFE ID, in order of creation."""
        return self._assemble(self._connection.rows(sql.BY_SPIFFE_ID, {"wanted": str(spiffe_id)}))

    def federated(self, trust_domain: TrustDomain) -> list[Entry]:
        """Entries that federate with it, in order of creation."""
        return self._assemble(self._connection.rows(sql.FEDERATED, {"wanted": trust_domain.name}))

    def create(self, entry: Entry) -> None:
        """Write it as given.

        Raises:
            AlreadyExistsError: there is an entry of that ID.
            FailedPreconditionError: it federates with a trust domain whose bundle is not known.
        """
        entry = _normal(entry)
        federates_with = self._known(entry.federates_with)
        position = self._changes.next
        try:
            self._connection.run(sql.INSERT, _values(position, entry))
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                raise
            raise AlreadyExistsError(f"entry {entry.id} already exists") from None
        self._changes.append(ChangeKind.ENTRY, entry.id, entry)
        self._insert_owned(position, entry, federates_with)

    def update(self, entry: Entry) -> None:
        """Replace the stored entry of that ID.

        Raises:
            NotFoundError: there is none.
            FailedPreconditionError: it federates with a trust domain whose bundle is not known.
        """
        row = self._connection.row(sql.BY_ID, {"wanted": entry.id})
        if row is None:
            raise NotFoundError("entry not found")
        [stored], position = self._assemble([row]), row[0]
        entry = _normal(entry)
        federates_with = self._known(entry.federates_with)
        self._changes.append(ChangeKind.ENTRY, entry.id, entry)
        statement = sql.UPDATE_UNINDEXED if _indexed(entry) == _indexed(stored) else sql.UPDATE
        self._connection.run(statement, _values(position, entry) | {"at_position": position})
        if _owned(entry) != _owned(stored):
            for statement in _DISOWN:
                self._connection.run(statement, {"at_position": position})
            self._insert_owned(position, entry, federates_with)

    def delete(self, entry_id: str) -> bool:
        """Whether there was one."""
        position = self._position(entry_id)
        if position is None:
            return False
        self._changes.append(ChangeKind.ENTRY, entry_id)
        self._connection.run(sql.DELETE, {"at_position": position})
        return True

    def of_principal(self, principal: str) -> list[Entry]:
        """The principal's bindings, in order of creation."""
        return self._assemble(self._connection.rows(sql.OF_PRINCIPAL, {"wanted": principal}))

    def binding(self, entry_id: str) -> Entry | None:
        """The entry of that ID, if it is a principal's binding."""
        return self._one(self._connection.row(sql.BINDING, {"wanted": entry_id}))

    def bindings_at(self, spiffe_ids: Collection[SpiffeId]) -> list[Entry]:
        """The bindings for these SPIFFE IDs, in order of creation."""
        if self._connection.row(sql.ANY_BINDING, {}) is None:
            return []  # a tenth of the question's time, which every plain entry asks that is created
        wanted = json.dumps([str(spiffe_id) for spiffe_id in spiffe_ids])
        return self._assemble(self._connection.rows(sql.BINDINGS_AT, {"wanted": wanted}))

    def principals_at(self, spiffe_id: SpiffeId) -> frozenset[str]:
        """The principals whose bindings are for that SPIFFE ID and not withheld."""
        return frozenset(row[0] for row in self._connection.rows(sql.PRINCIPALS_AT, {"wanted": str(spiffe_id)}))

    def principal_by(self, entry_id: str) -> str | None:
        """The principal of the binding of that ID, if it is one and not withheld."""
        row = self._connection.row(sql.PRINCIPAL_BY, {"wanted": entry_id})
        return row[0] if row else None

    def expired(self, now: int) -> list[str]:
        """IDs of entries whose `expires_at` is set and not after `now`, in order of creation."""
        return [row[0] for row in self._connection.rows(sql.EXPIRED, {"now": now})]

    def _position(self, entry_id: str) -> int | None:
        row = self._connection.row(sql.POSITION, {"wanted": entry_id})
        return row[0] if row else None

    def _insert_owned(self, position: int, entry: Entry, federates_with: Sequence[str]) -> None:
        run = self._connection.run_many
        run(
            sql.INSERT_SELECTOR,
            [{"entry": position, "type": s.type, "value": s.value} for s in entry.selectors],
        )
        run(
            sql.INSERT_DNS_NAME,
            [{"entry": position, "rank": rank, "name": name} for rank, name in enumerate(entry.dns_names)],
        )
        run(
            sql.INSERT_FEDERATES_WITH,
            [{"entry": position, "rank": rank, "trust_domain": name} for rank, name in enumerate(federates_with)],
        )
        if entry.principal:
            self._connection.run(sql.INSERT_BINDING, {"entry": position, **_binding(entry)})

    def _known(self, trust_domains: Iterable[TrustDomain]) -> list[str]:
        names = [trust_domain.name for trust_domain in trust_domains]
        if not names:
            return []
        known = {name for (name,) in self._connection.rows(sql.KNOWN_BUNDLES, {"wanted": json.dumps(names)})}
        for name in names:
            if name not in known:
                raise FailedPreconditionError(
                    f'unable to find federated bundle "{name}"', hint=f"set the bundle of {name} first"
                )
        return names

    def _one(self, row: Row | None) -> Entry | None:
        return self._assemble([row])[0] if row else None

    def _assemble(self, rows: Sequence[Row]) -> list[Entry]:
        positions = [row[0] for row in rows]
        selectors = selectors_of(_SELECTORS.rows(self._connection, positions))
        dns_names = _by_owner(_DNS_NAMES.rows(self._connection, positions))
        federates_with = _by_owner(_FEDERATES_WITH.rows(self._connection, positions))
        bindings = {owner: binding for owner, *binding in _BINDINGS.rows(self._connection, positions)}
        ids = _Ids()
        return [
            _entry(
                row,
                ids,
                selectors.get(row[0], ()),
                dns_names.get(row[0], ()),
                federates_with.get(row[0], ()),
                bindings.get(row[0], _UNBOUND),
            )
            for row in rows
        ]


def _likeness(spiffe_id: SpiffeId, parent_id: SpiffeId, selectors: Iterable[Selector]) -> bytes:
    """A short name of what makes two entries the same, so that one indexed look finds a duplicate."""
    pairs = sorted({(selector.type, selector.value) for selector in selectors})
    return hashlib.sha256(json.dumps([str(spiffe_id), str(parent_id), pairs]).encode()).digest()


def _values(position: int, entry: Entry) -> dict[str, object]:
    return {
        "position": position,
        "entry_id": entry.id,
        "spiffe_id": str(entry.spiffe_id),
        "parent_id": str(entry.parent_id),
        "likeness": _likeness(entry.spiffe_id, entry.parent_id, entry.selectors),
        "x509_svid_ttl": entry.x509_svid_ttl,
        "jwt_svid_ttl": entry.jwt_svid_ttl,
        "hint": entry.hint,
        "admin": entry.admin,
        "downstream": entry.downstream,
        "store_svid": entry.store_svid,
        "disable_x509_svid_prefetch": entry.disable_x509_svid_prefetch,
        "jwt_svid_include_jti": entry.jwt_svid_include_jti,
        "expires_at": entry.expires_at,
        "revision": entry.revision,
        "created_at": entry.created_at,
    }


def _owned(entry: Entry) -> tuple[object, ...]:
    return entry.selectors, entry.dns_names, entry.federates_with, _binding(entry)


def _binding(entry: Entry) -> dict[str, object]:
    return {"principal": entry.principal, "instance_from": entry.instance_from, "withheld": entry.withheld}


def _indexed(entry: Entry) -> tuple[object, ...]:
    """What the indices of the entries' own table are of; the selectors are in the likeness."""
    return entry.spiffe_id, entry.parent_id, entry.selectors, entry.hint, entry.downstream, entry.expires_at


def _normal(entry: Entry) -> Entry:
    """As it is read again."""
    selectors = sorted_distinct(entry.selectors)
    federates_with = tuple(dict.fromkeys(entry.federates_with))
    if selectors is entry.selectors and len(federates_with) == len(entry.federates_with):
        return entry
    return replace(entry, selectors=selectors, federates_with=federates_with)


class _Ids:
    """Reads SPIFFE IDs; of many entries most have the same trust domain, and parents in common."""

    def __init__(self) -> None:
        self._domain: TrustDomain | None = None
        self._prefix = ""
        self._parents: dict[str, SpiffeId] = {}

    def read(self, text: str) -> SpiffeId:
        if self._domain is not None and text.startswith(self._prefix):
            return SpiffeId(self._domain, text[len(self._prefix) - 1 :])
        found = SpiffeId.parse(text)
        self._domain, self._prefix = found.trust_domain, f"{found.trust_domain.id}/"
        return found

    def read_parent(self, text: str) -> SpiffeId:
        known = self._parents.get(text)
        if known is None:
            known = self._parents[text] = self.read(text)
        return known


def _entry(
    row: Row,
    ids: _Ids,
    selectors: Iterable[Selector],
    dns_names: Iterable[str],
    federates_with: Iterable[str],
    binding: Iterable[Any],
) -> Entry:
    principal, instance_from, withheld = binding
    (
        _,
        entry_id,
        spiffe_id,
        parent_id,
        x509_svid_ttl,
        jwt_svid_ttl,
        hint,
        admin,
        downstream,
        store_svid,
        disable_x509_svid_prefetch,
        jwt_svid_include_jti,
        expires_at,
        revision,
        created_at,
    ) = row
    return Entry(
        id=entry_id,
        spiffe_id=ids.read(spiffe_id),
        parent_id=ids.read_parent(parent_id),
        selectors=tuple(selectors),
        x509_svid_ttl=x509_svid_ttl,
        jwt_svid_ttl=jwt_svid_ttl,
        federates_with=tuple(map(TrustDomain, federates_with)) if federates_with else (),
        dns_names=tuple(dns_names) if dns_names else (),
        hint=hint,
        admin=admin == 1,
        downstream=downstream == 1,
        store_svid=store_svid == 1,
        disable_x509_svid_prefetch=disable_x509_svid_prefetch == 1,
        jwt_svid_include_jti=jwt_svid_include_jti == 1,
        principal=principal,
        instance_from=instance_from,
        withheld=withheld == 1,
        expires_at=expires_at,
        revision=revision,
        created_at=created_at,
    )


def _by_owner(rows: Iterable[Row]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for owner, value in rows:
        found.setdefault(owner, []).append(value)
    return found
