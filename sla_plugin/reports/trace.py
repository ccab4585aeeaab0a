"""The chain of one delivery: what it told, what its tickets' promises did since, what was asked of the helpdesk and how that went. Read only."""

from typing import Any

from sqlalchemy import select

from sla_plugin.store.alerts import alerts_of
from sla_plugin.store.connections import get_connection
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import Delivery, find_deliveries, get_delivery
from sla_plugin.store.events import events_of_delivery
from sla_plugin.store.outbox import CallRow, outbox_of
from sla_plugin.store.tickets import find_tickets

MARKER = "sla-"  # what the marker of a call begins with


def find_traced(tx: Transaction, tenant: int, word: str) -> list[Delivery]:
    """The deliveries that a word from a log or a helpdesk leads to: a trace (its id), a delivery key, a call's id or marker. Empty if there is none."""
    found = list(find_deliveries(tx, tenant, word))
    number = word.removeprefix(MARKER)
    if not found and number.isascii() and number.isdigit() and int(number) < 2**63:
        trace = tx.scalar(select(CallRow.trace).where(CallRow.tenant_id == tenant, CallRow.id == int(number)))
        delivery = get_delivery(tx, tenant, trace) if trace is not None else None
        found = [delivery] if delivery is not None else []
    return found


def chain_of(tx: Transaction, tenant: int, delivery: Delivery) -> dict[str, Any]:
    """Delivery, events, and by ticket the alerts, commands and calls since its receipt, as plain data; instants in microseconds under `*_at`.

    A call carries the `trace` it was made under: that of this delivery, or of a later one about the same ticket.
    """
    connection = get_connection(tx, tenant, delivery.connection_id)
    externals = list((delivery.became or {}).get("tickets", ()))
    tickets = find_tickets(tx, tenant, delivery.connection_id, externals)
    events = events_of_delivery(tx, tenant, delivery.id, [promise for _, promise in tickets.values()])
    since = delivery.received_at
    told = []
    for external in externals:
        if external not in tickets:
            continue
        ticket, promise = tickets[external]
        commands, calls = outbox_of(tx, tenant, promise)
        told.append(
            {
                "ticket": external,
                "ticket_id": ticket,
                "promise": str(promise),
                "alerts": [
                    {"level": a.level, "metric": a.metric, "cycle": a.cycle, "due_at": a.due_at, "raised_at": a.raised_at}
                    for a in alerts_of(tx, tenant, promise)
                    if a.raised_at >= since
                ],
                "commands": [
                    {
                        "kind": c.kind,
                        "state": c.state,
                        "reason": c.reason,
                        "metric": c.cause.get("metric"),
                        "created_at": c.created_at,
                        "settled_at": c.settled_at,
                        "call": str(c.call_id) if c.call_id is not None else None,
                    }
                    for c in commands
                    if c.created_at >= since
                ],
                "calls": [
                    {
                        "call": str(c.id),
                        "trace": str(c.trace) if c.trace is not None else None,
                        "marker": c.marker,
                        "state": c.state,
                        "tries": c.tries,
                        "status": c.status,
                        "reason": c.reason,
                        "created_at": c.created_at,
                        "tried_at": c.tried_at,
                        "settled_at": c.settled_at,
                    }
                    for c in calls
                    if c.created_at >= since
                ],
            }
        )
    return {
        "trace": str(delivery.id),
        "connection": connection.name if connection is not None else None,
        "delivery": {
            "key": delivery.delivery_key,
            "state": delivery.state,
            "reason": delivery.reason,
            "tries": delivery.tries,
            "duplicates": delivery.duplicates,
            "received_at": delivery.received_at,
            "applied_at": delivery.applied_at,
        },
        "events": [{"kind": e.kind, "ticket": e.external_id, "ticket_id": e.ticket_id, "own": e.own, "occurred_at": e.occurred_at} for e in events],
        "tickets": told,
    }
