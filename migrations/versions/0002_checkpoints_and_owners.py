"""checkpoints of long histories; whose a clock is, what it was granted, and by which hours it counts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_HOT = ("clock", "promise", "ticket")  # updated far more often than inserted


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "checkpoint",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("promise_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("fits", sa.String(length=64), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "promise_id", name=op.f("pk_checkpoint")),
    )
    with op.batch_alter_table("clock", schema=None) as batch_op:
        batch_op.add_column(sa.Column("business", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column("allowance", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("owner", sa.String(length=200), nullable=True))
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner", sa.String(length=200), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE checkpoint ALTER COLUMN data SET STORAGE EXTERNAL")  # it is packed: pressing it again costs more than it saves
        for table in _HOT:  # room on the page for the next version of a row: one that moves no index entry then costs no index
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 80)")


def downgrade() -> None:
    """Back to the revision before."""
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.drop_column("owner")
    with op.batch_alter_table("clock", schema=None) as batch_op:
        batch_op.drop_column("owner")
        batch_op.drop_column("allowance")
        batch_op.drop_column("business")
    op.drop_table("checkpoint")
