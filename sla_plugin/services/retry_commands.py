"""Give failed write-backs another chance: their commands go back to pending and make new calls."""

from dataclasses import dataclass

from sla_plugin.errors import ConfigurationError
from sla_plugin.services.outside import Outside
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import get_connection
from sla_plugin.store.db import Transaction
from sla_plugin.store.outbox import failed_commands, settle_commands
from sla_plugin.store.tickets import lock_promises


@dataclass(frozen=True)
class Retried:
    """A command that is pending again, and why it had failed."""

    ticket: str
    kind: str
    reason: str | None


def retry_commands(
    tx: Transaction,
    tenant: int,
    now: int,
    actor: str,
    outside: Outside,
    *,
    connection: int | None = None,
    external: str | None = None,
    command: int | None = None,
) -> list[Retried]:
    """Put failed commands (of a connection, of a ticket, or this one) back to pending and wake the outbox.

    Raises ConfigurationError if one belongs to a connection that is not live: it would be sent against the operator's will.
    """
    wanted = failed_commands(tx, tenant, connection, external, command)
    lock_promises(tx, tenant, {one.promise_id for one in wanted})
    commands = failed_commands(tx, tenant, connection, external, command)  # again: only now nobody else changes them
    retried = [Retried(one.external_id, one.kind, one.reason) for one in commands]
    for owner in sorted({one.connection_id for one in commands}):
        found = get_connection(tx, tenant, owner)
        if found is None or found.mode != "live":
            name = found.name if found is not None else owner
            raise ConfigurationError(f"{name} is not live: switch it with `sla-plugin connections live {name!r}` before its commands are tried again")
    if commands:
        settle_commands(tx, tenant, [one.id for one in commands], "pending", None)
        told = {"tickets": sorted({one.external_id for one in commands})[:100], "commands": len(commands)}
        append_audit(tx, tenant, now, actor, "write-backs retried", {**told, "before": {"state": "failed"}, "after": {"state": "pending"}})
        tx.after_commit(outside.queue.wake_outbox)
    return retried
