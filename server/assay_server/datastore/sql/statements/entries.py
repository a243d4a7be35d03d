"""Registration entries, and the selectors, DNS names and trust domains that each owns."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.sql.dml import Delete

from assay_server.datastore.sql.schema import (
    bundles,
    entries,
    entry_bindings,
    entry_dns_names,
    entry_federates_with,
    entry_selectors,
)
from assay_server.datastore.sql.statements.lists import (
    checking,
    counting,
    listing,
    matching,
    one_of,
    owned_rows,
    pair_of,
    up_to,
)

_position = entries.c.position
_row = select(*(column for column in entries.c if column.name != "likeness"))


_unindexed = (
    "x509_svid_ttl",
    "jwt_svid_ttl",
    "admin",
    "store_svid",
    "disable_x509_svid_prefetch",
    "jwt_svid_include_jti",
    "revision",
    "created_at",
)


def _replace(names: Iterable[str]) -> Update:
    changed = update(entries).where(_position == bindparam("at_position"))
    return changed.values({name: bindparam(name) for name in names})


def _disown(table: Table) -> Delete:
    return delete(table).where(table.c.entry == bindparam("at_position"))


def _starting(owned: FromClause, *where: ColumnElement[bool]) -> tuple[Select[*tuple[Any, ...]], Select[int]]:
    """Listing and counting from one of the rows that entries own, which lie in the entries' order."""
    both = owned.join(entries, owned.c.entry == _position)
    found = _row.select_from(both).where(*where, owned.c.entry > bindparam("after"))
    return listing(found, owned.c.entry), select(func.count()).select_from(both).where(*where, text("{where}"))


BY_ID = _row.where(entries.c.entry_id == bindparam("wanted"))
BY_IDS = _row.where(one_of(entries.c.entry_id, "wanted")).order_by(_position)
BY_LIKENESS = (
    _row.where(entries.c.spiffe_id == bindparam("spiffe_id"))
    .where(entries.c.likeness == bindparam("wanted"))
    .order_by(_position)
)
BY_SPIFFE_ID = _row.where(entries.c.spiffe_id == bindparam("wanted")).order_by(_position)
BY_PARENTS = _row.where(one_of(entries.c.parent_id, "wanted")).order_by(_position)
FEDERATED = (
    _row.join(entry_federates_with, entry_federates_with.c.entry == _position)
    .where(entry_federates_with.c.trust_domain == bindparam("wanted"))
    .order_by(_position)
)
OF_PRINCIPAL = (
    _row.join(entry_bindings, entry_bindings.c.entry == _position)
    .where(entry_bindings.c.principal == bindparam("wanted"))
    .order_by(_position)
)
BINDING = (
    _row.join(entry_bindings, entry_bindings.c.entry == _position)
    .where(entries.c.entry_id == bindparam("wanted"))
    .order_by(_position)
)
ANY_BINDING = select(entry_bindings.c.entry).limit(literal_column("1")).offset(literal_column("0"))
BINDINGS_AT = (
    _row.join(entry_bindings, entry_bindings.c.entry == _position)
    .where(one_of(entries.c.spiffe_id, "wanted"))
    .order_by(_position)
)
_bound = (
    select(entry_bindings.c.principal)
    .select_from(entries.join(entry_bindings, entry_bindings.c.entry == _position))
    .where(entry_bindings.c.withheld == literal_column("0"))
)
PRINCIPALS_AT = _bound.where(entries.c.spiffe_id == bindparam("wanted"))
PRINCIPAL_BY = _bound.where(entries.c.entry_id == bindparam("wanted"))
EXPIRED = (
    select(entries.c.entry_id)
    .where(entries.c.expires_at > literal_column("0"), entries.c.expires_at <= bindparam("now"))
    .order_by(_position)
)
POSITION = select(_position).where(entries.c.entry_id == bindparam("wanted"))

INSERT = insert(entries)
# SQLite writes every index of a column that is set, whether the value is another or not.
UPDATE = _replace(column.name for column in entries.c if column.name not in {"position", "entry_id"})
UPDATE_UNINDEXED = _replace(_unindexed)
DELETE = delete(entries).where(_position == bindparam("at_position"))

LISTING = listing(_row, _position)
COUNT = counting(entries)
AFTER = _position > bindparam("after")
OF_SPIFFE_ID = entries.c.spiffe_id == bindparam("spiffe_id")
OF_PARENT_ID = entries.c.parent_id == bindparam("parent_id")
OF_HINT = entries.c.hint == bindparam("hint")
OF_DOWNSTREAM = entries.c.downstream == bindparam("downstream")
UP_TO = up_to(entries, literal_column("{where}", Boolean))

_of_selectors = (entry_selectors, _position, pair_of(entry_selectors, "selectors"), "selectors_size")
OF_SELECTORS, CHECK_SELECTORS = matching(*_of_selectors), checking(*_of_selectors)
_of_federation = (
    entry_federates_with,
    _position,
    one_of(entry_federates_with.c.trust_domain, "trust_domains"),
    "trust_domains_size",
)
OF_FEDERATION, CHECK_FEDERATION = matching(*_of_federation), checking(*_of_federation)

_one = entry_selectors.alias("one")
_this_selector = (_one.c.type == bindparam("type"), _one.c.value == bindparam("value"))
LISTING_BY_SELECTOR, COUNT_BY_SELECTOR = _starting(_one, *_this_selector)
SELECTOR_UP_TO = up_to(_one, *_this_selector)
_other = entry_federates_with.alias("one")
_this_trust_domain = _other.c.trust_domain == bindparam("trust_domain")
LISTING_BY_TRUST_DOMAIN, COUNT_BY_TRUST_DOMAIN = _starting(_other, _this_trust_domain)
TRUST_DOMAIN_UP_TO = up_to(_other, _this_trust_domain)

SELECTORS, SELECTORS_BETWEEN = owned_rows(select(entry_selectors), *entry_selectors.primary_key.columns)
DNS_NAMES, DNS_NAMES_BETWEEN = owned_rows(
    select(entry_dns_names.c.entry, entry_dns_names.c.name), entry_dns_names.c.entry, entry_dns_names.c.rank
)
FEDERATES_WITH, FEDERATES_WITH_BETWEEN = owned_rows(
    select(entry_federates_with.c.entry, entry_federates_with.c.trust_domain),
    entry_federates_with.c.entry,
    entry_federates_with.c.rank,
)
BINDINGS, BINDINGS_BETWEEN = owned_rows(select(entry_bindings), entry_bindings.c.entry)
KNOWN_BUNDLES = select(bundles.c.trust_domain).where(one_of(bundles.c.trust_domain, "wanted"))

INSERT_SELECTOR = insert(entry_selectors)
INSERT_DNS_NAME = insert(entry_dns_names)
INSERT_FEDERATES_WITH = insert(entry_federates_with)
INSERT_BINDING = insert(entry_bindings)
DELETE_SELECTORS = _disown(entry_selectors)
DELETE_DNS_NAMES = _disown(entry_dns_names)
DELETE_FEDERATES_WITH = _disown(entry_federates_with)
DELETE_BINDING = _disown(entry_bindings)
