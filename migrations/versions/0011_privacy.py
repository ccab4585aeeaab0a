"""privacy: retention by kind, erasure with pseudonyms, who looked at whom; the actor of an audit entry can be erased while the chain holds."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
# index -> table, columns, condition
PARTIAL = {
    "ix_delivery_body": ("delivery", ["tenant_id", "received_at"], "body IS NOT NULL AND state IN ('applied', 'ignored')"),
    "ix_promise_settled": ("promise", ["tenant_id", "stripped", "settled_at"], "settled_at IS NOT NULL"),
    "ix_command_settled": ("command", ["tenant_id", "settled_at"], "settled_at IS NOT NULL"),
    "ix_call_settled": ("call", ["tenant_id", "settled_at"], "settled_at IS NOT NULL"),
    "ix_audit_content": ("audit_entry", ["tenant_id", "at"], "salt <> ''"),
}


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "retention_run",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("gone", sa.BigInteger(), nullable=False),
        sa.Column("kept", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "kind", name=op.f("pk_retention_run")),
    )
    op.create_table(
        "personal_read",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("thing", sa.String(length=100), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day", "actor", "kind", "thing", name=op.f("pk_personal_read")),
    )
    op.create_index("ix_personal_read_thing", "personal_read", ["tenant_id", "kind", "thing", "day"])
    op.create_table(
        "erasure",
        sa.Column("pseudonym", sa.String(length=60), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.String(length=200), nullable=False),
        sa.Column("sealed_about", sa.Text(), nullable=True),
        sa.Column("place", JSON, nullable=False),
        sa.Column("counts", JSON, nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_erasure")),
        sa.UniqueConstraint("tenant_id", "pseudonym", name=op.f("uq_erasure_tenant_id_pseudonym")),
    )
    op.create_table(
        "erased_name",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=60), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest", name=op.f("pk_erased_name")),
    )
    op.add_column("tenant", sa.Column("sealed_salt", sa.Text(), nullable=True))
    op.add_column("audit_entry", sa.Column("actor_salt", sa.String(length=32), nullable=True))
    op.add_column("audit_entry", sa.Column("actor_digest", sa.String(length=64), nullable=True))
    op.add_column("promise", sa.Column("settled_at", sa.BigInteger(), nullable=True))
    op.add_column("promise", sa.Column("stripped", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE promise SET settled_at = horizon_at WHERE NOT open")
    for name, (table, columns, condition) in PARTIAL.items():
        op.create_index(name, table, columns, postgresql_where=sa.text(condition), sqlite_where=sa.text(condition))
    op.create_index("ix_session_expires_at", "session", ["tenant_id", "expires_at"])


def downgrade() -> None:
    """Back to 0008. Entries of the audit trail written meanwhile no longer verify there."""
    op.drop_index("ix_session_expires_at", "session")
    for name, (table, _, _) in PARTIAL.items():
        op.drop_index(name, table)
    for table, columns in {"promise": ("stripped", "settled_at"), "audit_entry": ("actor_digest", "actor_salt"), "tenant": ("sealed_salt",)}.items():
        for column in columns:
            op.drop_column(table, column)
    for table in ("erased_name", "erasure", "personal_read", "retention_run"):
        op.drop_table(table)
