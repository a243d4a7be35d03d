"""Attested nodes, and the selectors that each owns."""

from sqlalchemy import Text, Update, and_, bindparam, delete, insert, literal_column, not_, select, update

from assay_server.datastore.sql.schema import node_selectors, nodes
from assay_server.datastore.sql.statements.lists import counting, listing, matching, owned_rows, pair_of

_position = nodes.c.position
_row = select(nodes)
_no_serial = literal_column("''", Text)


def _replace() -> Update:
    names = [column.name for column in nodes.c if column.name not in {"position", "spiffe_id"}]
    return update(nodes).where(_position == bindparam("at_position")).values({name: bindparam(name) for name in names})


BY_ID = _row.where(nodes.c.spiffe_id == bindparam("wanted"))
POSITION = select(_position).where(nodes.c.spiffe_id == bindparam("wanted"))

INSERT = insert(nodes)
UPDATE = _replace()
DELETE = delete(nodes).where(_position == bindparam("at_position"))

LISTING = listing(_row, _position)
COUNT = counting(nodes)
AFTER = _position > bindparam("after")
OF_ATTESTATION_TYPE = nodes.c.attestation_type == bindparam("attestation_type")
BANNED = and_(nodes.c.serial == _no_serial, nodes.c.new_serial == _no_serial)
NOT_BANNED = not_(BANNED)
OF_CAN_REATTEST = nodes.c.can_reattest == bindparam("can_reattest")
EXPIRES_BEFORE = nodes.c.expires_at < bindparam("expires_before")
OF_SELECTORS = matching(node_selectors, _position, pair_of(node_selectors, "selectors"), "selectors_size")

SELECTORS, SELECTORS_BETWEEN = owned_rows(select(node_selectors), *node_selectors.primary_key.columns)
INSERT_SELECTOR = insert(node_selectors)
DELETE_SELECTORS = delete(node_selectors).where(node_selectors.c.node == bindparam("at_position"))
