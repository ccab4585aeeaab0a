"""where tickets and alerts stand in lists; the words tickets are found by.

Every index on a large table is partial and empty, or small: nobody waits for more than one look over the table. The timekeeper works the places out
afterwards, in small transactions (services/place_tickets.py), also those of tickets that the version before still writes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_PLACED = (
    ("ix_ticket_place", ()),
    ("ix_ticket_connection_place", ("connection_id",)),
    ("ix_ticket_priority_place", ("priority",)),
    ("ix_ticket_assignee_place", ("assignee",)),
    ("ix_ticket_organization_place", ("organization",)),
)
_OPEN = "acknowledged_at IS NULL AND resolved_at IS NULL AND NOT surpassed"
_TAKEN = "acknowledged_at IS NOT NULL AND resolved_at IS NULL AND NOT surpassed"
_RESOLVED = "resolved_at IS NOT NULL AND NOT surpassed"
_ALERTS = (
    ("ix_alert_open", _OPEN, ("level", "raised_at", "id")),
    ("ix_alert_open_metric", _OPEN, ("metric", "level", "raised_at", "id")),
    ("ix_alert_taken", _TAKEN, ("level", "raised_at", "id")),
    ("ix_alert_taken_by", _TAKEN, ("acknowledged_by", "level", "raised_at", "id")),
    ("ix_alert_resolved", _RESOLVED, ("level", "raised_at", "id")),
)
_RANK = "CASE {}.level WHEN 'warning' THEN 0 WHEN 'critical' THEN 1 WHEN 'breach' THEN 2 ELSE 3 END"
_SAME = "{0}.tenant_id = alert.tenant_id AND {0}.promise_id = alert.promise_id AND {0}.metric = alert.metric AND {0}.cycle = alert.cycle"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "ticket_word",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("word", sa.String(length=40).with_variant(sa.String(length=40, collation="C"), "postgresql"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "word", "ticket_id", name=op.f("pk_ticket_word")),
    )
    # one by one: a table of SQLite is not rebuilt for a column that may be empty
    op.add_column("ticket", sa.Column("standing", sa.String(length=10), nullable=True))
    op.add_column("ticket", sa.Column("place", sa.BigInteger(), nullable=True))
    op.add_column("alert", sa.Column("resolved_at", sa.BigInteger(), nullable=True))
    op.add_column("alert", sa.Column("surpassed", sa.Boolean(), server_default=sa.false(), nullable=False))
    for name, columns in _PLACED:
        _index(name, "ticket", ["tenant_id", *columns, "standing", "place", "id"], "standing IS NOT NULL")
    _index("ix_ticket_unplaced", "ticket", ["tenant_id", "id"], "standing IS NULL")
    op.execute(
        f"UPDATE alert SET surpassed = true WHERE EXISTS (SELECT 1 FROM alert AS higher WHERE {_SAME.format('higher')}"  # noqa: S608 - names of ours
        f" AND {_RANK.format('higher')} > {_RANK.format('alert')})"
    )
    op.execute(
        "UPDATE alert SET resolved_at = coalesce((SELECT max(coalesce(c.stopped_at, c.finished_at)) FROM clock AS c"  # noqa: S608 - names of ours
        f" WHERE {_SAME.format('c')}), raised_at) WHERE metric <> 'escalation' AND NOT EXISTS (SELECT 1 FROM clock AS c"
        f" WHERE {_SAME.format('c')} AND c.phase IN ('running', 'on_hold', 'pending'))"
    )
    for name, where, columns in _ALERTS:
        _index(name, "alert", ["tenant_id", *columns], where)
    _index("ix_delivery_ignored", "delivery", ["tenant_id", "id"], "state = 'ignored'")
    op.create_index("ix_command_state", "command", ["tenant_id", "state", "id"])
    op.create_index("ix_command_connection", "command", ["tenant_id", "connection_id", "state", "id"])
    # what only lists asked: without it a clock that moves costs no index. The version before reads its clocks through until it is replaced
    op.drop_index("ix_clock_open", "clock")


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def downgrade() -> None:
    """Back to the revision before."""
    op.create_index("ix_clock_open", "clock", ["tenant_id", "open", "deadline_at"])
    for name in ("ix_command_connection", "ix_command_state"):
        op.drop_index(name, "command")
    op.drop_index("ix_delivery_ignored", "delivery")
    for name, _, _ in _ALERTS:
        op.drop_index(name, "alert")
    for name in ("ix_ticket_unplaced", *(name for name, _ in _PLACED)):
        op.drop_index(name, "ticket")
    with op.batch_alter_table("alert") as alert:
        alert.drop_column("surpassed")
        alert.drop_column("resolved_at")
    with op.batch_alter_table("ticket") as ticket:
        ticket.drop_column("place")
        ticket.drop_column("standing")
    op.drop_table("ticket_word")
