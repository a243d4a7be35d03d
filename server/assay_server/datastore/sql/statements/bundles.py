"""Bundles of trust domains."""

from sqlalchemy import bindparam, delete, func, insert, select, update

from assay_server.datastore.sql.schema import bundles, entry_federates_with
from assay_server.datastore.sql.statements.lists import listing, one_of

_named = bundles.c.trust_domain == bindparam("wanted")
_row = select(bundles)

BY_NAME = _row.where(_named)
BY_NAMES = _row.where(one_of(bundles.c.trust_domain, "wanted")).order_by(bundles.c.position)
LISTING = listing(_row, bundles.c.position)
AFTER = bundles.c.position > bindparam("after")
COUNT = select(func.count()).select_from(bundles)
FEDERATED_ENTRIES = (
    select(func.count())
    .select_from(entry_federates_with)
    .where(entry_federates_with.c.trust_domain == bindparam("wanted"))
)
INSERT = insert(bundles)
UPDATE = (
    update(bundles)
    .where(_named)
    .values({name: bindparam(name) for name in ("refresh_hint", "sequence", "authorities")})
)
DELETE = delete(bundles).where(_named)
