"""Alembic's entry: runs the migrations in the transaction that upgrade.py has begun and will end."""

from alembic import context

from assay_server.datastore.sql.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
