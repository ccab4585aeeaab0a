"""What time does by itself: due transitions, and promises whose terms are older than the book."""

from sla_plugin.services.evaluate_promises import GRACE, evaluate_promises
from sla_plugin.services.outside import Outside
from sla_plugin.services.read_books import affected_policies, read_books
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import watermarks
from sla_plugin.store.tickets import claim_due, claim_stale, note_revision, postpone_promise

PATIENCE = 500_000  # how long a breach waits for deliveries received before it


def keep_time(tx: Transaction, now: int, outside: Outside, limit: int) -> int:
    """Evaluate promises whose next transition is due, of one tenant. Returns how many; 0 = nothing (more) can be done now.

    Deliveries received before the transition are applied first, for which it waits at most `PATIENCE`; a connection with deliveries untried for longer
    than the grace is evaluated only up to its watermark.
    """
    arriving = watermarks(tx, now)
    held_back = {connection: at for connection, at in arriving.items() if at < now - GRACE}
    promises = claim_due(tx, now, limit, held_back)
    ready = [
        p
        for p in promises
        if p.connection_id in held_back
        or p.next_transition_at is None
        or now - p.next_transition_at >= PATIENCE
        or p.connection_id not in arriving
        or arriving[p.connection_id] > p.next_transition_at
    ]
    if not ready:
        return 0
    tenant = ready[0].tenant_id
    tx.narrow(tenant)
    written = evaluate_promises(tx, tenant, ready, now, outside, {})
    changes = written.changes()
    if changes:
        append_audit(tx, tenant, now, "machine", "time passed", changes)
    return len(ready)


def set_aside(tx: Transaction, now: int, later: int) -> int:
    """The promise that is due first cannot be evaluated: look at it again `later` microseconds from now. Returns its id, 0 if none is due."""
    for promise in claim_due(tx, now, 1, watermarks(tx, now - GRACE)):
        tx.narrow(promise.tenant_id)
        postpone_promise(tx, promise.tenant_id, promise.id, now + later)
        return promise.id
    return 0


def sweep_terms(tx: Transaction, tenant: int, revision: int, now: int, outside: Outside, limit: int = 500) -> int:
    """Bring a chunk of promises evaluated with older terms up to `revision`. Returns how many; 0 = all are."""
    promises = claim_stale(tx, tenant, revision, limit)
    if promises:
        affected = affected_policies(read_books(tx, tenant), revision)
        # what the change cannot move is only noted: it stands as it did
        moved = [p for p in promises if affected is None or p.book_revision != revision - 1 or p.policy_id in affected]
        evaluated = {p.id for p in moved}
        note_revision(tx, tenant, [p.id for p in promises if p.id not in evaluated], revision)
        written = evaluate_promises(tx, tenant, moved, now, outside, {})
        append_audit(tx, tenant, now, "machine", "terms applied", {"revision": revision, "promises": len(promises), **written.changes()})
    return len(promises)
