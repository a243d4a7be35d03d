"""The tables. `position` is the change that created a row: it orders listings and is never used twice."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

# Every constraint has a name, so that a later migration can drop it.
metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

# SQLite makes a column the row's own key only when its type is spelled INTEGER.
_Number = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, _Number, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _position() -> Column[int]:
    return Column("position", _Number, primary_key=True, autoincrement=False)


def _owner(name: str, table: str) -> Column[int]:
    return Column(name, _Number, ForeignKey(f"{table}.position", ondelete="CASCADE"), primary_key=True)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


bundles = Table(
    "bundles",
    metadata,
    _position(),
    Column("trust_domain", Text, nullable=False, unique=True),
    _number("refresh_hint"),
    _number("sequence"),
    _text("authorities"),
)

entries = Table(
    "entries",
    metadata,
    _position(),
    Column("entry_id", Text, nullable=False, unique=True),
    _text("spiffe_id"),
    _text("parent_id"),
    Column("likeness", LargeBinary, nullable=False),
    _number("x509_svid_ttl"),
    _number("jwt_svid_ttl"),
    _text("hint"),
    _flag("admin"),
    _flag("downstream"),
    _flag("store_svid"),
    _flag("disable_x509_svid_prefetch"),
    _flag("jwt_svid_include_jti"),
    _number("expires_at"),
    _number("revision"),
    _number("created_at"),
    Index("entries_spiffe_id", "spiffe_id"),
    Index("entries_parent_id", "parent_id"),
    # Behind the SPIFFE ID, in whose order entries come: hashes alone would change a page of the index for each entry.
    Index("entries_likeness", "spiffe_id", "likeness"),
    Index("entries_hint", "hint"),
    Index("entries_downstream", "downstream"),
    Index("entries_expires_at", "expires_at", sqlite_where=text("expires_at > 0")),
)

entry_selectors = Table(
    "entry_selectors",
    metadata,
    _owner("entry", "entries"),
    _key("type"),
    _key("value"),
    Index("entry_selectors_value", "type", "value", "entry"),
    sqlite_with_rowid=False,
)

entry_dns_names = Table(
    "entry_dns_names",
    metadata,
    _owner("entry", "entries"),
    Column("rank", Integer, primary_key=True),
    _text("name"),
    sqlite_with_rowid=False,
)

entry_federates_with = Table(
    "entry_federates_with",
    metadata,
    _owner("entry", "entries"),
    Column("rank", Integer, primary_key=True),
    Column("trust_domain", Text, ForeignKey("bundles.trust_domain"), nullable=False),
    Index("entry_federates_with_trust_domain", "trust_domain", "entry", unique=True),
    sqlite_with_rowid=False,
)

# Of the entries that are governed principals' bindings.
entry_bindings = Table(
    "entry_bindings",
    metadata,
    _owner("entry", "entries"),
    _text("principal"),
    _text("instance_from"),
    _flag("withheld"),
    Index("entry_bindings_principal", "principal"),
    sqlite_with_rowid=False,
)

federation_relationships = Table(
    "federation_relationships",
    metadata,
    _position(),
    Column("trust_domain", Text, nullable=False, unique=True),
    _text("bundle_endpoint_url"),
    _text("bundle_endpoint_profile"),
    _text("endpoint_spiffe_id"),
)

nodes = Table(
    "nodes",
    metadata,
    _position(),
    Column("spiffe_id", Text, nullable=False, unique=True),
    _text("attestation_type"),
    _text("serial"),
    _number("expires_at"),
    _text("new_serial"),
    _number("new_expires_at"),
    _flag("can_reattest"),
    _text("agent_version"),
    Index("nodes_expires_at", "expires_at"),
)

node_selectors = Table(
    "node_selectors",
    metadata,
    _owner("node", "nodes"),
    _key("type"),
    _key("value"),
    Index("node_selectors_value", "type", "value", "node"),
    sqlite_with_rowid=False,
)

join_tokens = Table("join_tokens", metadata, _key("value"), _number("expires_at"), sqlite_with_rowid=False)

authorities = Table(
    "authorities",
    metadata,
    Column("rank", Integer, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("slot"),
    _text("status"),
    _text("key_id"),
    _text("authority_id"),
    _number("issued_at"),
    _number("not_after"),
    Column("document", LargeBinary, nullable=False),
)

# Governed objects of every kind, whole, and beside them what they are found by (ADR 7).
governed = Table(
    "governed",
    metadata,
    _position(),
    _text("kind"),
    _text("name"),
    _number("due"),
    _text("document"),
    Index("governed_name", "kind", "name", unique=True),
    Index("governed_due", "kind", "due", sqlite_where=text("due > 0")),
)

governed_terms = Table(
    "governed_terms",
    metadata,
    _key("kind"),
    _key("term"),
    _key("value"),
    _owner("governed", "governed"),
    Index("governed_terms_governed", "governed"),
    sqlite_with_rowid=False,
)

# Records of the ledger, `document` their canonical form and `hash` its (ADR 8). `number` has no gaps, `position` does.
events = Table(
    "events",
    metadata,
    _position(),
    _number("at"),
    _text("type"),
    _text("task_id"),
    _text("principal"),
    _text("document"),
    _number("number"),
    _text("hash"),
    # Two records of one number would be two ledgers.
    Index("events_number", "number", unique=True),
    Index("events_task", "task_id", sqlite_where=text("task_id <> ''")),
    Index("events_principal", "principal", sqlite_where=text("principal <> ''")),
)

# Signed: the records up to `number` end in a hash.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=False),
    _number("at"),
    _text("token"),
)

changes = Table(
    "changes",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("object_id"),
    _number("at"),
)

counter = Table(
    "counter",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    _number("value"),
)

meta = Table(
    "meta",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
    Column("compatible_from", Integer, nullable=False),
    _text("incarnation"),
)

# Alembic's own table, so that a database created directly is stamped as one that was migrated.
alembic_version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
