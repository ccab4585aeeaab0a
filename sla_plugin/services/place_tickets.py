"""Where tickets stand in lists, worked out from stored clocks: for what a version before this one wrote. An evaluation writes it by itself."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sla_plugin.services.verdict_rows import standing_of
from sla_plugin.store.clocks import read_open_clocks
from sla_plugin.store.db import Transaction
from sla_plugin.store.ticket_words import words_of, write_words
from sla_plugin.store.tickets import horizons_of, lock_promises, promises_after, tickets_of, unplaced_tickets, write_places


def place_tickets(tx: Transaction, tenant: int, limit: int) -> int:
    """Place a chunk of the tickets that have no place yet. Returns how many; 0 = all have one."""
    promises = unplaced_tickets(tx, tenant, limit)
    return _place(tx, tenant, promises) if promises else 0


def check_places(tx: Transaction, tenant: int, after: int, limit: int) -> int:
    """Put right what does not stand where its clocks say, among the tickets after the id `after`. Returns the last one looked at, -1 at the end."""
    found = promises_after(tx, tenant, after, limit)
    if wrong := _misplaced(tx, tenant, [row.promise_id for row in found]):
        _place(tx, tenant, wrong)
    return found[-1].id if len(found) == limit else -1


def _misplaced(tx: Transaction, tenant: int, promises: Sequence[int]) -> list[int]:
    return [ticket.promise_id for ticket, said in _said(tx, tenant, promises) if (ticket.standing, ticket.place) != said]


def _place(tx: Transaction, tenant: int, promises: Sequence[int]) -> int:
    lock_promises(tx, tenant, promises)  # an evaluation that runs is waited for: it may have placed them meanwhile
    said = _said(tx, tenant, promises)
    write_places(tx, tenant, [{"id": ticket.id, "standing": place[0], "place": place[1]} for ticket, place in said])
    fresh = [ticket for ticket, _ in said if ticket.standing is None]
    write_words(tx, tenant, {t.id: ((), words_of(t.external_id, t.subject, t.organization)) for t in fresh})
    return len(said)


def _said(tx: Transaction, tenant: int, promises: Sequence[int]) -> list[tuple[Any, tuple[str, int]]]:
    """Each ticket with the standing and place that its clocks say, as of its promise's last evaluation."""
    if not promises:
        return []
    clocks = defaultdict(list)
    for clock in read_open_clocks(tx, tenant, promises):
        clocks[clock.promise_id].append(clock)
    horizons = horizons_of(tx, tenant, promises)
    return [(t, standing_of(clocks[t.promise_id], horizons.get(t.promise_id, 0), t.updated_at)) for t in tickets_of(tx, tenant, promises)]
