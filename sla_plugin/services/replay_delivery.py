"""Put deliveries back into the inbox: after a fix, what was unreadable is read again; what was applied changes nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sla_plugin.errors import ConfigurationError
from sla_plugin.services.outside import Outside
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import Delivery, find_deliveries, requeue


@dataclass(frozen=True)
class Replayed:
    """A delivery that is back in the inbox: the state it was in, and why."""

    id: int
    key: str
    was: str
    reason: str | None


def replay_deliveries(tx: Transaction, tenant: int, words: Sequence[str], now: int, actor: str, outside: Outside) -> list[Replayed]:
    """Requeue deliveries named by id or delivery key and wake the inbox.

    Raises ConfigurationError for one that does not exist or whose body is no longer kept; then none is replayed.
    """
    found: dict[int, Delivery] = {}
    for word in words:
        named = find_deliveries(tx, tenant, word)
        if not named:
            raise ConfigurationError(f"there is no delivery {word!r}; `sla-plugin export deliveries --json --ids` lists them")
        found.update({delivery.id: delivery for delivery in named})
    return requeue_deliveries(tx, tenant, list(found.values()), now, actor, outside)


def requeue_deliveries(tx: Transaction, tenant: int, deliveries: Sequence[Delivery], now: int, actor: str, outside: Outside) -> list[Replayed]:
    """Requeue these deliveries and wake the inbox. Raises ConfigurationError for one whose body is no longer kept."""
    replayed = [Replayed(delivery.id, delivery.delivery_key, delivery.state, delivery.reason) for delivery in deliveries]
    for delivery in deliveries:
        if not requeue(tx, tenant, delivery.id):
            raise ConfigurationError(f"the body of delivery {delivery.delivery_key!r} is no longer kept (SLA_RAW_DAYS): it cannot be replayed")
    if deliveries:
        told = {"deliveries": [d.delivery_key for d in deliveries][:100], "count": len(deliveries)}
        states = dict(Counter(one.was for one in replayed))
        append_audit(tx, tenant, now, actor, "deliveries replayed", {**told, "before": states, "after": {"stored": len(deliveries)}})
        tx.after_commit(outside.queue.wake_inbox)
    return replayed
