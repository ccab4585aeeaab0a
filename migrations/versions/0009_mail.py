"""mails on their way out, the proof of mail settings, who asked for a new password."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "mail",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.String(length=320), nullable=True),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("sealed", sa.String(), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("lease", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(length=120), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.String(length=40), nullable=True),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("said", sa.String(length=200), nullable=True),
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_mail")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_mail_tenant_id_key")),
    )
    pending, failed = sa.text("state = 'pending'"), sa.text("state = 'failed'")
    op.create_index("ix_mail_due", "mail", ["next_at"], postgresql_where=pending, sqlite_where=pending)
    op.create_index("ix_mail_failed", "mail", ["tenant_id"], postgresql_where=failed, sqlite_where=failed)
    op.create_index("ix_mail_person", "mail", ["tenant_id", "person_id"])
    op.create_table(
        "mail_check",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.String(length=40), nullable=True),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("said", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_mail_check")),
    )
    op.create_table(
        "reset_request",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reset_request")),
    )


def downgrade() -> None:
    """Back to 0008."""
    for table in ("reset_request", "mail_check", "mail"):
        op.drop_table(table)
