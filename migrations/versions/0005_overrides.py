"""strict mode, and how much of a record's target was granted by hand."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """To this revision; the defaults let a version that does not know the columns go on writing."""
    op.add_column("tenant", sa.Column("strict", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("record", sa.Column("granted", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """Back."""
    op.drop_column("record", "granted")
    op.drop_column("tenant", "strict")
