"""Drain the inbox: batches until it is empty, one by one where a batch fails."""

from collections.abc import Callable
from threading import Event

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from sla_plugin.errors import SlaPluginError
from sla_plugin.jobs.ending import NEVER
from sla_plugin.jobs.memory import give_back, uncollected
from sla_plugin.logs import where
from sla_plugin.services.apply_deliveries import apply_deliveries
from sla_plugin.services.outside import Outside
from sla_plugin.store.db import Database, Transaction
from sla_plugin.store.deliveries import Outcome, claim_deliveries, next_tenant, postpone_delivery, settle_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.notices import notify_transition

log = structlog.get_logger()
MAX_TRIES = 5


def drain_inbox(database: Database, outside: Outside, clock: Callable[[], int], batch: int, ending: Event = NEVER) -> int:
    """Apply deliveries until none is left, then look once more; after `ending` is set, only the batch under way. Returns how many.

    Raises OperationalError when the database is gone.
    """
    total = 0
    single = 0  # after a failed batch: so many one by one
    while not ending.is_set():
        try:
            with uncollected(), database.transaction(Duty.INBOX) as tx:
                now = clock()
                applied = apply_deliveries(tx, now, outside, 1 if single else batch)
                notify_transition(tx, applied.earliest, now)
        except OperationalError:
            raise
        except (DBAPIError, SlaPluginError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            if single:
                with database.transaction(Duty.INBOX) as tx:
                    _set_aside(tx, clock(), error)
            else:
                log.warning("batch failed, one by one now", error=type(error).__name__, where=where(error))
                single = batch
            continue
        single = max(single - 1, 0)
        if not applied.deliveries:
            if total > batch:
                give_back()
            return total
        total += applied.deliveries
    return total


def _set_aside(tx: Transaction, now: int, error: Exception) -> None:
    """The delivery at the head of the inbox is poison: later, and after some tries never by itself."""
    tenant = next_tenant(tx, now)
    if tenant is None:
        return
    tx.narrow(tenant)
    for row in claim_deliveries(tx, tenant, 1, now):
        reason = f"internal error while applying ({type(error).__name__}); kept, replay it after a fix"
        log.error("delivery cannot be applied", trace=row.id, tries=row.tries + 1, error=type(error).__name__, where=where(error))
        if row.tries + 1 >= MAX_TRIES:
            settle_deliveries(tx, tenant, now, [Outcome(row.id, row.tries + 1, "failed", reason)])
        else:
            postpone_delivery(tx, tenant, row.id, now + 1_000_000 * 4**row.tries, reason)
