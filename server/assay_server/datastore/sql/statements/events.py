"""Events, which are only ever added, and those that are pruned; the ledger that they make, and its checkpoints."""

from sqlalchemy import bindparam, delete, func, insert, literal_column, select
from sqlalchemy.types import Integer, Text

from assay_server.datastore.sql.schema import checkpoints
from assay_server.datastore.sql.schema import events as table
from assay_server.datastore.sql.statements.lists import latest, listing

_none = literal_column("''", Text)
_one, _none_before = literal_column("1", Integer), literal_column("0", Integer)
_signed = (checkpoints.c.number, checkpoints.c.at, checkpoints.c.token)

INSERT = insert(table)
LISTING = listing(select(table.c.position, table.c.document), table.c.position)
AFTER = table.c.position > bindparam("after")
# With the indices' own conditions, without which they are not used.
OF_TASK = (table.c.task_id == bindparam("task_id")) & (table.c.task_id != _none)
OF_PRINCIPAL = (table.c.principal == bindparam("principal")) & (table.c.principal != _none)
LATEST_LISTING = latest(select(table.c.position, table.c.document), table.c.position)

HEAD = select(table.c.number, table.c.hash).where(table.c.number == select(func.max(table.c.number)).scalar_subquery())
FIRST = select(func.min(table.c.number))
SINCE = select(func.min(table.c.number)).where(table.c.at >= bindparam("at"))
RECORD_LISTING = listing(select(table.c.number, table.c.document, table.c.hash), table.c.number)
AFTER_NUMBER = table.c.number > bindparam("after")
UNTIL_NUMBER = table.c.number <= bindparam("until")
DELETE = delete(table).where(table.c.number <= bindparam("until"))

KEEP = insert(checkpoints)
CHECKPOINT_LISTING = listing(select(*_signed), checkpoints.c.number)
CHECKPOINT_AFTER = checkpoints.c.number > bindparam("after")
CHECKPOINT_BEFORE = (
    select(*_signed)
    .where(checkpoints.c.number <= bindparam("until"))
    .order_by(checkpoints.c.number.desc())
    .limit(_one)
    .offset(_none_before)
)
FORGET = delete(checkpoints).where(checkpoints.c.number < bindparam("before"))
