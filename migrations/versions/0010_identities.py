"""who people are at sign-in services; spent states, how the service is, whose JWTs are whose; how a session began."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "identity",
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("bound_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_identity")),
        sa.UniqueConstraint("tenant_id", "issuer", "subject", name=op.f("uq_identity_tenant_id_issuer_subject")),
        sa.UniqueConstraint("tenant_id", "person_id", "issuer", name="uq_identity_person"),
    )
    op.create_table(
        "spent_state",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest", name=op.f("pk_spent_state")),
    )
    op.create_table(
        "provider_check",
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_provider_check")),
    )
    op.create_index("ix_provider_check_checked_at", "provider_check", ["checked_at"])
    op.create_table(
        "bearer_issuer",
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("audience", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_bearer_issuer")),
        sa.UniqueConstraint("issuer", "audience", name=op.f("uq_bearer_issuer_issuer_audience")),
    )
    with op.batch_alter_table("session") as session:
        session.add_column(sa.Column("how", sa.String(length=10), nullable=False, server_default="password"))


def downgrade() -> None:
    """Back to 0008."""
    with op.batch_alter_table("session") as session:
        session.drop_column("how")
    for table in ("bearer_issuer", "provider_check", "spent_state", "identity"):
        op.drop_table(table)
