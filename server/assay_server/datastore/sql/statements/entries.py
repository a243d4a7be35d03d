"""Registration entries, and the selectors, DNS names and trust domains that each owns."""

from sqlalchemy import Table, Update, bindparam, delete, insert, literal_column, select, update
from sqlalchemy.sql.dml import Delete

from assay_server.datastore.sql.schema import bundles, entries, entry_dns_names, entry_federates_with, entry_selectors
from assay_server.datastore.sql.statements.lists import counting, listing, matching, one_of, owned_rows, pair_of

_position = entries.c.position
_row = select(*(column for column in entries.c if column.name != "likeness"))


def _replace() -> Update:
    names = [column.name for column in entries.c if column.name != "position"]
    changed = update(entries).where(_position == bindparam("at_position"))
    return changed.values({name: bindparam(name) for name in names})


def _disown(table: Table) -> Delete:
    return delete(table).where(table.c.entry == bindparam("at_position"))


BY_ID = _row.where(entries.c.entry_id == bindparam("wanted"))
BY_IDS = _row.where(one_of(entries.c.entry_id, "wanted")).order_by(_position)
BY_LIKENESS = _row.where(entries.c.likeness == bindparam("wanted")).order_by(_position)
BY_SPIFFE_ID = _row.where(entries.c.spiffe_id == bindparam("wanted")).order_by(_position)
BY_PARENTS = _row.where(one_of(entries.c.parent_id, "wanted")).order_by(_position)
FEDERATED = (
    _row.join(entry_federates_with, entry_federates_with.c.entry == _position)
    .where(entry_federates_with.c.trust_domain == bindparam("wanted"))
    .order_by(_position)
)
EXPIRED = (
    select(entries.c.entry_id)
    .where(entries.c.expires_at > literal_column("0"), entries.c.expires_at <= bindparam("now"))
    .order_by(_position)
)
POSITION = select(_position).where(entries.c.entry_id == bindparam("wanted"))

INSERT = insert(entries)
UPDATE = _replace()
DELETE = delete(entries).where(_position == bindparam("at_position"))

LISTING = listing(_row, _position)
COUNT = counting(entries)
AFTER = _position > bindparam("after")
OF_SPIFFE_ID = entries.c.spiffe_id == bindparam("spiffe_id")
OF_PARENT_ID = entries.c.parent_id == bindparam("parent_id")
OF_HINT = entries.c.hint == bindparam("hint")
OF_DOWNSTREAM = entries.c.downstream == bindparam("downstream")
OF_SELECTORS = matching(entry_selectors, _position, pair_of(entry_selectors, "selectors"), "selectors_size")
OF_FEDERATION = matching(
    entry_federates_with,
    _position,
    one_of(entry_federates_with.c.trust_domain, "trust_domains"),
    "trust_domains_size",
)

SELECTORS, SELECTORS_BETWEEN = owned_rows(select(entry_selectors), *entry_selectors.primary_key.columns)
DNS_NAMES, DNS_NAMES_BETWEEN = owned_rows(
    select(entry_dns_names.c.entry, entry_dns_names.c.name), entry_dns_names.c.entry, entry_dns_names.c.rank
)
FEDERATES_WITH, FEDERATES_WITH_BETWEEN = owned_rows(
    select(entry_federates_with.c.entry, entry_federates_with.c.trust_domain),
    entry_federates_with.c.entry,
    entry_federates_with.c.rank,
)
KNOWN_BUNDLES = select(bundles.c.trust_domain).where(one_of(bundles.c.trust_domain, "wanted"))

INSERT_SELECTOR = insert(entry_selectors)
INSERT_DNS_NAME = insert(entry_dns_names)
INSERT_FEDERATES_WITH = insert(entry_federates_with)
DELETE_SELECTORS = _disown(entry_selectors)
DELETE_DNS_NAMES = _disown(entry_dns_names)
DELETE_FEDERATES_WITH = _disown(entry_federates_with)
