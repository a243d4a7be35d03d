"""Governed objects, their terms and events; entries that are bindings.

Releases before this would grant what entries withhold.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "entry_bindings",
        sa.Column("entry", _Number, sa.ForeignKey("entries.position", ondelete="CASCADE"), primary_key=True),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("instance_from", sa.Text, nullable=False),
        sa.Column("withheld", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("entry_bindings_principal", "entry_bindings", ["principal"])
    op.create_table(
        "governed",
        sa.Column("position", _Number, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("due", _Number, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("governed_name", "governed", ["kind", "name"], unique=True)
    op.create_index("governed_due", "governed", ["kind", "due"], sqlite_where=sa.text("due > 0"))
    op.create_table(
        "governed_terms",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("term", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("governed", _Number, sa.ForeignKey("governed.position", ondelete="CASCADE"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("governed_terms_governed", "governed_terms", ["governed"])
    op.create_table(
        "events",
        sa.Column("position", _Number, primary_key=True, autoincrement=False),
        sa.Column("at", _Number, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("events_task", "events", ["task_id"], sqlite_where=sa.text("task_id <> ''"))
    op.create_index("events_principal", "events", ["principal"], sqlite_where=sa.text("principal <> ''"))
