"""Federation relationships."""

from sqlalchemy import bindparam, delete, insert, select, update

from assay_server.datastore.sql.schema import federation_relationships as table
from assay_server.datastore.sql.statements.lists import listing

_named = table.c.trust_domain == bindparam("wanted")
_row = select(table)

BY_NAME = _row.where(_named)
LISTING = listing(_row, table.c.position)
AFTER = table.c.position > bindparam("after")
INSERT = insert(table)
UPDATE = (
    update(table)
    .where(_named)
    .values(
        {name: bindparam(name) for name in ("bundle_endpoint_url", "bundle_endpoint_profile", "endpoint_spiffe_id")}
    )
)
DELETE = delete(table).where(_named)
