"""The change sequence and its counter."""

from sqlalchemy import Integer, bindparam, delete, func, insert, literal_column, select, update

from assay_server.datastore.sql.schema import changes, counter

LATEST = select(counter.c.value)
ADVANCE = update(counter).values(value=bindparam("latest"))
INSERT = insert(changes)
OLDEST = select(func.min(changes.c.seq))
SINCE = (
    select(changes.c.seq, changes.c.kind, changes.c.object_id)
    .where(changes.c.seq > bindparam("after"))
    .order_by(changes.c.seq)
    .limit(bindparam("size"))
    .offset(literal_column("0", Integer))
)
PRUNE = delete(changes).where(changes.c.seq <= bindparam("until"))
