"""Events, which are only ever added."""

from sqlalchemy import bindparam, insert, literal_column, select
from sqlalchemy.types import Text

from assay_server.datastore.sql.schema import events as table
from assay_server.datastore.sql.statements.lists import latest, listing

_none = literal_column("''", Text)

INSERT = insert(table)
LISTING = listing(select(table.c.position, table.c.document), table.c.position)
AFTER = table.c.position > bindparam("after")
# With the indices' own conditions, without which they are not used.
OF_TASK = (table.c.task_id == bindparam("task_id")) & (table.c.task_id != _none)
OF_PRINCIPAL = (table.c.principal == bindparam("principal")) & (table.c.principal != _none)
LATEST_LISTING = latest(select(table.c.position, table.c.document), table.c.position)
