"""The CA journal."""

from sqlalchemy import delete, insert, select

from assay_server.datastore.sql.schema import authorities

LOAD = select(*authorities.c[1:]).order_by(authorities.c.rank)
CLEAR = delete(authorities)
INSERT = insert(authorities)
