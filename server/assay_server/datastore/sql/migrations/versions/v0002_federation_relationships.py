"""Federation relationships. Releases before this cannot read a change sequence that tells of them."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0002"
down_revision = "0001"

_Number = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "federation_relationships",
        Column("position", _Number, primary_key=True, autoincrement=False),
        Column("trust_domain", Text, nullable=False, unique=True),
        Column("bundle_endpoint_url", Text, nullable=False),
        Column("bundle_endpoint_profile", Text, nullable=False),
        Column("endpoint_spiffe_id", Text, nullable=False),
    )
