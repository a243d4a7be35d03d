"""Events are records of a chain, each with its number and the hash of the one before; checkpoints of it.

Releases before this would add events that are no part of the chain.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from assay.ledger.record import NOTHING, canonical, hash_of

revision = "0005"
down_revision = "0004"

_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT_ONCE = 1000


def upgrade() -> None:
    """Make the tables anew, and link the events that there are in the order in which they were committed."""
    for index in ("events_task", "events_principal"):
        op.drop_index(index, "events")
    op.rename_table("events", "events_before")
    op.create_table(
        "events",
        sa.Column("position", _Number, primary_key=True, autoincrement=False),
        sa.Column("at", _Number, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("number", _Number, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    _link()
    op.drop_table("events_before")
    op.create_index("events_task", "events", ["task_id"], sqlite_where=sa.text("task_id <> ''"))
    op.create_index("events_principal", "events", ["principal"], sqlite_where=sa.text("principal <> ''"))
    op.create_index("events_number", "events", ["number"], unique=True)
    op.create_table(
        "checkpoints",
        sa.Column("number", _Number, primary_key=True, autoincrement=False),
        sa.Column("at", _Number, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
    )


def _link() -> None:
    bound = op.get_bind()
    read = sa.text(
        "SELECT position, at, type, task_id, principal, document FROM events_before"
        " WHERE position > :after ORDER BY position LIMIT :size"
    )
    write = sa.text(
        "INSERT INTO events (position, at, type, task_id, principal, document, number, hash)"
        " VALUES (:position, :at, :type, :task_id, :principal, :document, :number, :hash)"
    )
    number, previous, after = 0, NOTHING, -1
    while rows := bound.execute(read, {"after": after, "size": _AT_ONCE}).mappings().all():
        linked: list[dict[str, Any]] = []
        for row in rows:
            number += 1
            body = canonical({**json.loads(row["document"]), "number": number, "previous": previous})
            previous, after = hash_of(body), row["position"]
            linked.append({**row, "document": body.decode(), "number": number, "hash": previous})
        bound.execute(write, linked)
