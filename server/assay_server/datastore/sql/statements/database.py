"""A database as a whole: its tables, its version and where its history stands."""

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.schema import CreateIndex, CreateTable

from assay_server.datastore.sql.schema import alembic_version, counter, meta, metadata

TABLES = [
    create
    for table in metadata.sorted_tables
    for create in (CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=lambda index: str(index.name))))
]
INSERT_COUNTER = insert(counter)
INSERT_META = insert(meta)
INSERT_REVISION = insert(alembic_version)
VERSION = select(meta.c.schema_version, meta.c.compatible_from)
POSITION = select(meta.c.incarnation, counter.c.value).join(counter, counter.c.id == meta.c.id)
RENAME = update(meta).values(incarnation=bindparam("name"))
