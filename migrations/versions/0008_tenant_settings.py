"""what a tenant decides for itself; the language of a person."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "tenant_setting",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_tenant_setting")),
    )
    with op.batch_alter_table("person") as person:
        person.add_column(sa.Column("language", sa.String(length=8), nullable=True))


def downgrade() -> None:
    """Back to 0007."""
    with op.batch_alter_table("person") as person:
        person.drop_column("language")
    op.drop_table("tenant_setting")
