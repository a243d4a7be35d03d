"""Indices for what entries are listed by, and one for duplicates that grows where new entries come."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make them; releases before this one get along with them."""
    op.drop_index("entries_likeness", "entries")
    op.create_index("entries_likeness", "entries", ["spiffe_id", "likeness"])
    op.create_index("entries_hint", "entries", ["hint"])
    op.create_index("entries_downstream", "entries", ["downstream"])
