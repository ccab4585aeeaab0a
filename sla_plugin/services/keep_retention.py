"""Keep each kind of data as long as the tenant says and no longer: a chunk at a time, safe to end anywhere, an entry of the audit trail per run and kind."""

from collections.abc import Mapping
from dataclasses import dataclass

from sla_plugin.services.outside import Outside
from sla_plugin.services.read_books import read_books
from sla_plugin.services.retention_settings import RETENTION
from sla_plugin.services.rewrite_events import rewrite_events, without_texts
from sla_plugin.services.tenant_settings import read_settings
from sla_plugin.store.alerts import drop_notes
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.retention import count_old, note_run, note_stripped, remove_old, settled_promises, take_run
from sla_plugin.store.ticket_words import words_of, write_words
from sla_plugin.store.tickets import BARE_MIRROR, BARE_TEXTS, bare_tickets, lock_promises, tickets_of

DAY = 86_400_000_000
LEVELS = {"texts": BARE_TEXTS, "tickets": BARE_MIRROR}
MOST = 10_000  # what would go is counted up to here


@dataclass(frozen=True)
class Share:
    """How much goes in one transaction: rows, promises."""

    rows: int
    promises: int


def kept_days(tx: Transaction, tenant: int, raw_days: int) -> dict[str, int | None]:
    """Kind -> days for which it is kept; None: for ever. Raw bodies never longer than the installation keeps them."""
    settings = read_settings(tx, tenant)
    days: dict[str, int | None] = {kind: settings[name] for name, kind in RETENTION.items()}
    return {**days, "bodies": min(days["bodies"] or raw_days, raw_days)}


def would_go(tx: Transaction, tenant: int, now: int, raw_days: int) -> Mapping[str, int]:
    """Kind -> how many rows (for texts and tickets: tickets) are old enough to go now, counted up to MOST; kinds kept for ever are not in it."""
    counts = {}
    for kind, days in kept_days(tx, tenant, raw_days).items():
        if days is not None:
            before = now - days * DAY
            counts[kind] = len(settled_promises(tx, tenant, LEVELS[kind], before, MOST)) if kind in LEVELS else count_old(tx, tenant, kind, before, MOST)
    return counts


def keep_retention(tx: Transaction, tenant: int, now: int, raw_days: int, outside: Outside, share: Share) -> bool:
    """Remove a chunk of what is older than it is kept; True while there may be more today. Twice a day changes nothing."""
    for kind, days in kept_days(tx, tenant, raw_days).items():
        if days is None:
            continue
        run = take_run(tx, tenant, kind, now)
        if run is None:
            continue
        before = now - days * DAY
        if kind in LEVELS:
            done, unmoved = _strip(tx, tenant, kind, before, share.promises, outside)
            more = done + unmoved >= share.promises
        else:
            unmoved = 0
            done, more = remove_old(tx, tenant, kind, before, share.rows)
        gone, kept = run.gone + done, run.kept + unmoved
        if more:
            note_run(tx, tenant, kind, 0, gone, kept)
            return True
        note_run(tx, tenant, kind, now + DAY, 0, 0)
        if gone or kept:
            append_audit(tx, tenant, now, "machine", "retention kept", {"kind": kind, "days": days, "removed": gone, "kept": kept})
        return True
    return False


def _strip(tx: Transaction, tenant: int, kind: str, before: int, limit: int, outside: Outside) -> tuple[int, int]:
    """Take texts (for `tickets` the names in the mirror, too) from promises that are settled: how many were stripped, and how many had to keep their texts."""
    chosen = settled_promises(tx, tenant, LEVELS[kind], before, limit)
    connections = {c.id: c for c in list_connections(tx, tenant)}
    books, kept = read_books(tx, tenant), 0
    # one that was opened again meanwhile has texts anew, and is not settled
    promises = [p for p in lock_promises(tx, tenant, chosen) if not p.open and not p.history] if chosen else []
    for promise in promises:
        connection = connections[promise.connection_id]
        kept += not rewrite_events(tx, tenant, promise, connection, [books], lambda row: row._replace(data=without_texts(row.data)), outside, must=False)
    ids = [promise.id for promise in promises]
    drop_notes(tx, tenant, ids)
    if kind == "tickets":
        had = {t.id: (t.external_id, t.subject, t.organization) for t in tickets_of(tx, tenant, ids)}
        bare_tickets(tx, tenant, ids)
        write_words(tx, tenant, {ticket: (words_of(*texts), words_of(texts[0], texts[2])) for ticket, texts in had.items()})
    note_stripped(tx, tenant, chosen, LEVELS[kind])
    return len(chosen) - kept, kept
