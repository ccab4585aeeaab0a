"""Waking the timekeeper: a Postgres NOTIFY when a transition comes sooner than its next look; on SQLite it watches the data version."""

from sqlalchemy import text

from sla_plugin.store.db import Transaction

CHANNEL = "sla_transition"
LOOK = 1_000_000  # the timekeeper looks at least this often (microseconds)


def notify_transition(tx: Transaction, earliest: int | None, now: int) -> None:
    """Tell the timekeeper of a transition before its next look."""
    if earliest is not None and earliest < now + LOOK and tx.is_postgres:
        tx.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
