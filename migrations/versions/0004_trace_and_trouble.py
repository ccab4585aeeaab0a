"""A call knows the delivery it goes back to; what waits or failed is found without reading everything."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"

_UNSETTLED = sa.text("state IN ('pending', 'calling', 'failed')")
_SET_ASIDE = sa.text("state IN ('unreadable', 'failed')")


def upgrade() -> None:
    """To this revision. The old version may go on serving: it neither reads nor writes what comes new, and no index is built behind a lock."""
    op.add_column("call", sa.Column("trace", sa.BigInteger(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            _index(postgresql_concurrently=True, if_not_exists=True)
    else:  # SQLite has one writer: all migrations are one transaction
        _index()


def _index(**how: bool) -> None:
    for name, table, columns, where in (
        ("ix_command_unsettled", "command", ["tenant_id", "connection_id", "state"], _UNSETTLED),
        ("ix_delivery_set_aside", "delivery", ["tenant_id", "state", "id"], _SET_ASIDE),
    ):
        op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where, **how)


def downgrade() -> None:
    """Back to the one before."""
    op.drop_index("ix_delivery_set_aside", "delivery")
    op.drop_index("ix_command_unsettled", "command")
    op.drop_column("call", "trace")
