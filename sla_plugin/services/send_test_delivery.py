"""A delivery of our own for a connection: signed with its secret, verified and stored as the sender's would be."""

from sla_plugin.errors import ConfigurationError
from sla_plugin.services.outside import Outside
from sla_plugin.services.receive_delivery import Door, receive_delivery
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import Connection, note_state
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import insert_deliveries


def send_test_delivery(tx: Transaction, connection: Connection, now: int, actor: str, outside: Outside) -> int:
    """Sign, verify and store a sample; returns the delivery's id. Raises ConfigurationError without a secret."""
    connector = outside.connector(connection.connector)
    secrets = outside.secrets(connection)
    if not secrets:
        raise ConfigurationError(f"{connection.name} has no webhook secret: add one first")
    door = Door(connection.tenant_id, connection.id, connection.name, connector, tuple(secrets))
    row = receive_delivery(door, connector.sample(secrets, now))
    insert_deliveries(tx, [row])
    note_state(tx, connection.tenant_id, connection.id, last_delivery_at=now)
    append_audit(tx, connection.tenant_id, now, actor, "test delivery sent", {"connection": connection.name, "delivery": str(row["id"])})
    tx.after_commit(outside.queue.wake_inbox)
    delivery: int = row["id"]
    return delivery
