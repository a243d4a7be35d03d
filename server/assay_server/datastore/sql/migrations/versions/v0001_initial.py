"""The first schema, as it was: schema.py describes the present, this never changes.

A new database is made from schema.py; this is where the chain of migrations begins.
"""

from alembic import op
from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Text, text

revision = "0001"
down_revision = None

_Number = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    _bundles()
    _entries()
    _entry_lists()
    _nodes()
    _authorities_and_tokens()
    _changes_and_meta()


def _bundles() -> None:
    op.create_table(
        "bundles",
        Column("position", _Number, primary_key=True, autoincrement=False),
        Column("trust_domain", Text, nullable=False, unique=True),
        Column("refresh_hint", _Number, nullable=False),
        Column("sequence", _Number, nullable=False),
        Column("authorities", Text, nullable=False),
    )


def _entries() -> None:
    op.create_table(
        "entries",
        Column("position", _Number, primary_key=True, autoincrement=False),
        Column("entry_id", Text, nullable=False, unique=True),
        Column("spiffe_id", Text, nullable=False),
        Column("parent_id", Text, nullable=False),
        Column("likeness", LargeBinary, nullable=False),
        Column("x509_svid_ttl", _Number, nullable=False),
        Column("jwt_svid_ttl", _Number, nullable=False),
        Column("hint", Text, nullable=False),
        Column("admin", Boolean, nullable=False),
        Column("downstream", Boolean, nullable=False),
        Column("store_svid", Boolean, nullable=False),
        Column("disable_x509_svid_prefetch", Boolean, nullable=False),
        Column("jwt_svid_include_jti", Boolean, nullable=False),
        Column("expires_at", _Number, nullable=False),
        Column("revision", _Number, nullable=False),
        Column("created_at", _Number, nullable=False),
    )
    op.create_index("entries_spiffe_id", "entries", ["spiffe_id"])
    op.create_index("entries_parent_id", "entries", ["parent_id"])
    op.create_index("entries_likeness", "entries", ["likeness"])
    op.create_index("entries_expires_at", "entries", ["expires_at"], sqlite_where=text("expires_at > 0"))


def _entry_lists() -> None:
    _selectors("entry_selectors", "entry", "entries")
    op.create_table(
        "entry_dns_names",
        Column("entry", _Number, ForeignKey("entries.position", ondelete="CASCADE"), primary_key=True),
        Column("rank", Integer, primary_key=True),
        Column("name", Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entry_federates_with",
        Column("entry", _Number, ForeignKey("entries.position", ondelete="CASCADE"), primary_key=True),
        Column("rank", Integer, primary_key=True),
        Column("trust_domain", Text, ForeignKey("bundles.trust_domain"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("entry_federates_with_trust_domain", "entry_federates_with", ["trust_domain", "entry"], unique=True)


def _nodes() -> None:
    op.create_table(
        "nodes",
        Column("position", _Number, primary_key=True, autoincrement=False),
        Column("spiffe_id", Text, nullable=False, unique=True),
        Column("attestation_type", Text, nullable=False),
        Column("serial", Text, nullable=False),
        Column("expires_at", _Number, nullable=False),
        Column("new_serial", Text, nullable=False),
        Column("new_expires_at", _Number, nullable=False),
        Column("can_reattest", Boolean, nullable=False),
        Column("agent_version", Text, nullable=False),
    )
    op.create_index("nodes_expires_at", "nodes", ["expires_at"])
    _selectors("node_selectors", "node", "nodes")


def _selectors(table: str, owner: str, owners: str) -> None:
    op.create_table(
        table,
        Column(owner, _Number, ForeignKey(f"{owners}.position", ondelete="CASCADE"), primary_key=True),
        Column("type", Text, primary_key=True),
        Column("value", Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{table}_value", table, ["type", "value", owner])


def _authorities_and_tokens() -> None:
    op.create_table(
        "authorities",
        Column("rank", Integer, primary_key=True, autoincrement=False),
        Column("kind", Text, nullable=False),
        Column("slot", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("key_id", Text, nullable=False),
        Column("authority_id", Text, nullable=False),
        Column("issued_at", _Number, nullable=False),
        Column("not_after", _Number, nullable=False),
        Column("document", LargeBinary, nullable=False),
    )
    op.create_table(
        "join_tokens",
        Column("value", Text, primary_key=True),
        Column("expires_at", _Number, nullable=False),
        sqlite_with_rowid=False,
    )


def _changes_and_meta() -> None:
    op.create_table(
        "changes",
        Column("seq", _Number, primary_key=True, autoincrement=False),
        Column("kind", Text, nullable=False),
        Column("object_id", Text, nullable=False),
        Column("at", _Number, nullable=False),
    )
    op.create_table("counter", _only_row(), Column("value", _Number, nullable=False))
    op.create_table(
        "meta",
        _only_row(),
        Column("schema_version", Integer, nullable=False),
        Column("compatible_from", Integer, nullable=False),
        Column("incarnation", Text, nullable=False),
    )


def _only_row() -> Column[int]:
    return Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False)
