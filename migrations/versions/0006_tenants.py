"""tenants: mail unique per tenant, brands, requesters, heads of the audit chains."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "entity",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_entity")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_entity_tenant_id_name")),
    )
    op.create_table(
        "requester",
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_requester")),
        sa.UniqueConstraint("tenant_id", "connection_id", "external_id", name=op.f("uq_requester_tenant_id_connection_id_external_id")),
    )
    op.create_index("ix_requester_person", "requester", ["tenant_id", "person_id"])
    op.create_table(
        "audit_head",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_audit_head")),
    )
    op.execute(
        "INSERT INTO audit_head (tenant_id, number, chain) SELECT t.id, coalesce(e.number, 0), coalesce(e.chain, '') FROM tenant t LEFT JOIN audit_entry e "
        "ON e.tenant_id = t.id AND e.number = (SELECT max(number) FROM audit_entry WHERE tenant_id = t.id)"
    )
    op.create_index("ix_ticket_requester", "ticket", ["tenant_id", "requester"])
    with op.batch_alter_table("connection") as batch_op:
        batch_op.add_column(sa.Column("entity_id", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("person") as batch_op:
        batch_op.add_column(sa.Column("disabled_at", sa.BigInteger(), nullable=True))
        batch_op.drop_constraint(op.f("uq_person_email"), type_="unique")
        batch_op.create_unique_constraint(op.f("uq_person_tenant_id_email"), ["tenant_id", "email"])
        batch_op.create_index("ix_person_email", ["email"])


def downgrade() -> None:
    """Back to the one before."""
    with op.batch_alter_table("person") as batch_op:
        batch_op.drop_index("ix_person_email")
        batch_op.drop_constraint(op.f("uq_person_tenant_id_email"), type_="unique")
        batch_op.create_unique_constraint(op.f("uq_person_email"), ["email"])
        batch_op.drop_column("disabled_at")
    with op.batch_alter_table("connection") as batch_op:
        batch_op.drop_column("entity_id")
    op.drop_index("ix_ticket_requester", "ticket")
    op.drop_table("audit_head")
    op.drop_table("requester")
    op.drop_table("entity")
