"""Credentials are proved again every day, so that a revoked token is seen on a page before a breach finds it out."""

from sla_plugin.errors import ConnectorError, SlaPluginError
from sla_plugin.ports import AccountFacts
from sla_plugin.services.change_connection import record_check
from sla_plugin.services.outside import Outside
from sla_plugin.store.connections import Connection, get_connection, overdue_check, take_check
from sla_plugin.store.db import Transaction

EVERY = 24 * 3600 * 1_000_000  # microseconds


def claim_check(tx: Transaction, now: int) -> Connection | None:
    """A connection whose credentials were not proved for a day; it is this caller's to check (claiming moves `checked_at`)."""
    connection = overdue_check(tx, now - EVERY)
    if connection is None or not take_check(tx, connection.tenant_id, connection.id, connection.checked_at, now):
        return None
    return connection


def prove_again(connection: Connection, outside: Outside) -> AccountFacts:
    """The vendor call; what cannot be proved is a problem in words, never an exception."""
    try:
        return outside.connector(connection.connector).check(outside.account(connection), outside.http)
    except SlaPluginError as error:
        status = error.status if isinstance(error, ConnectorError) else None
        return AccountFacts(
            user_id=connection.facts.get("user_id"),
            user_name=connection.facts.get("user_name"),
            proved=(),
            problems=(str(error) + (f" (HTTP {status})" if status else ""),),
        )


def note_check(tx: Transaction, connection: Connection, facts: AccountFacts, now: int) -> None:
    """Keep what the check found, unless the connection is gone."""
    current = get_connection(tx, connection.tenant_id, connection.id)
    if current is not None:
        record_check(tx, connection.tenant_id, current, facts, now, "machine")
