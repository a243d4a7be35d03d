"""Governed objects, each under its kind and name, and the terms they are found by."""

from sqlalchemy import (
    Integer,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    literal_column,
    select,
    update,
)

from assay_server.datastore.sql.schema import governed as table
from assay_server.datastore.sql.schema import governed_terms as terms
from assay_server.datastore.sql.statements.lists import counting, latest, listing

_this = and_(table.c.kind == bindparam("kind"), table.c.name == bindparam("name"))
_row = select(table.c.position, table.c.document)

BY_NAME = select(table.c.position, table.c.due, table.c.document).where(_this)
LISTING = listing(_row, table.c.position)
LATEST_LISTING = latest(_row, table.c.position)
COUNT = counting(table)
AFTER = table.c.position > bindparam("after")
OF_KIND = table.c.kind == bindparam("kind")
# The store numbers the names, one pair for each term that is asked for.
_said = and_(
    terms.c.kind == bindparam("kind"), terms.c.term == bindparam("term_N"), terms.c.value == bindparam("value_N")
)
OF_TERM = table.c.position.in_(select(terms.c.governed).where(_said))
# Of those that the first term finds: a list of all that are active would be made for each question otherwise.
# By name: a condition is written out alone, where Core would add the object's table to the inner one's.
OF_TERM_TOO = exists(
    select(literal_column("1", Integer())).where(
        _said, terms.c.governed == literal_column("governed.position", Integer())
    )
)
# With the index' own condition, without which it is not used.
DUE_AFTER = (table.c.due > literal_column("0")) & (table.c.due > bindparam("due_after"))
DUE = (
    select(table.c.document)
    .where(table.c.kind == bindparam("kind"), table.c.due > literal_column("0"), table.c.due <= bindparam("now"))
    .order_by(table.c.due)
    .limit(bindparam("most"))
    .offset(literal_column("0"))
)
INSERT = insert(table)
UPDATE = (
    update(table)
    .where(table.c.position == bindparam("at_position"))
    .values(document=bindparam("document"), due=bindparam("due"))
)
UPDATE_DOCUMENT = (
    update(table).where(table.c.position == bindparam("at_position")).values(document=bindparam("document"))
)
DELETE = delete(table).where(_this)
TERMS = select(terms.c.term, terms.c.value).where(terms.c.governed == bindparam("governed"))
INSERT_TERM = insert(terms)
DELETE_TERM = delete(terms).where(
    terms.c.kind == bindparam("kind"),
    terms.c.term == bindparam("term"),
    terms.c.value == bindparam("value"),
    terms.c.governed == bindparam("governed"),
)
