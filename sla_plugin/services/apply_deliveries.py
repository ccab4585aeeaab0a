"""Apply stored deliveries: parse, store events, evaluate each promise once, settle; one tenant and one transaction a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sla_plugin.errors import ConfigurationError, DeliveryUnreadable
from sla_plugin.ports import InboundRequest, Parsed
from sla_plugin.services.evaluate_promises import Written, evaluate_promises
from sla_plugin.services.mark_echoes import mark_echoes
from sla_plugin.services.outside import Outside
from sla_plugin.services.tell import tell_outcomes
from sla_plugin.services.tombstones import ERASED, read_tombstones
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import Connection, list_connections, note_delivery
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import Outcome, claim_deliveries, drop_bodies, next_tenant, settle_deliveries
from sla_plugin.store.events import event_row, insert_events
from sla_plugin.store.tickets import end_history, ensure_tickets, imported_promises, lock_promises


@dataclass(frozen=True)
class Applied:
    """What a batch did: deliveries settled, and the earliest next transition it wrote (None: none)."""

    deliveries: int
    earliest: int | None = None
    ids: tuple[int, ...] = ()


def apply_deliveries(tx: Transaction, now: int, outside: Outside, limit: int) -> Applied:
    """Apply up to `limit` deliveries of the tenant that waits longest. Raises whatever a poison delivery raises; the caller then tries one by one.

    Waits for others' tickets, then events, promises, connection states and the audit chain, in this order, as everybody does (docs/architecture.md).
    """
    tenant = next_tenant(tx, now)
    if tenant is None:
        return Applied(0)
    tx.narrow(tenant)
    claimed = claim_deliveries(tx, tenant, limit, now)
    if not claimed:
        return Applied(0)
    connections = {c.id: c for c in list_connections(tx, tenant)}
    outcomes: list[Outcome] = []
    rows: list[dict[str, Any]] = []
    delivered: dict[int, list[dict[str, Any]]] = {}
    for delivery in claimed:
        connection = connections[delivery.connection_id]
        try:
            parsed = _parse(delivery, connection, outside)
        except (DeliveryUnreadable, ConfigurationError) as error:
            outcomes.append(Outcome(delivery.id, delivery.tries + 1, "unreadable", str(error)))
            continue
        if not parsed.events:
            outcomes.append(Outcome(delivery.id, delivery.tries + 1, "ignored", parsed.ignored or "nothing in it concerns a ticket"))
            continue
        delivered[delivery.id] = [event_row(tenant, connection.id, delivery.id, delivery.received_at, event) for event in parsed.events]
        rows += delivered[delivery.id]
    # a repeated event within the batch is one event: the first received counts
    by_key = {(r["connection_id"], r["event_key"]): r for r in reversed(rows)}
    unique = list({id(r): r for r in rows if by_key[(r["connection_id"], r["event_key"])] is r}.values())
    _bind(tx, tenant, unique)
    mark_echoes(tx, tenant, unique, connections, outside)
    stones = read_tombstones(tx, tenant, outside.sealer)
    buried = stones.bury(tx, tenant, unique) | {d.id for d in claimed if stones.in_bytes(d.body or b"")} if stones is not None else set()
    # by key, as every worker: two that are told the same events in another order would wait for each other
    fresh = insert_events(tx, tenant, sorted(unique, key=lambda r: (r["connection_id"], r["event_key"])))
    causes: dict[int, dict[str, int]] = {}
    ended: set[int] = set()
    for row in unique:
        if row["promise_id"] is not None and (row["connection_id"], row["event_key"]) in fresh:
            causes.setdefault(row["promise_id"], {})[row["event_key"]] = row["occurred_at"]
        elif row["kind"] == "history.ended" and (row["connection_id"], row["event_key"]) in fresh:
            ended.add(row["connection_id"])
    tries = {delivery.id: delivery.tries + 1 for delivery in claimed}
    outcomes += [Outcome(delivery, tries[delivery], "applied", _repeated(made, fresh, by_key), _became(made)) for delivery, made in delivered.items()]
    outcomes = [replace(o, state="ignored", reason=ERASED) if o.delivery in buried and o.state == "unreadable" else o for o in outcomes]
    settle_deliveries(tx, tenant, now, outcomes)
    if buried:
        drop_bodies(tx, tenant, buried)
    tell_outcomes(tx, {delivery.id: connections[delivery.connection_id].name for delivery in claimed}, outcomes)
    if ended:
        lock_promises(tx, tenant, {*causes, *imported_promises(tx, tenant, ended)})  # all in one order
        end_history(tx, tenant, ended, now)
    written = Written()
    if causes:
        promises = lock_promises(tx, tenant, causes)
        written = evaluate_promises(tx, tenant, promises, now, outside, causes)
    for connection_id in sorted({d.connection_id for d in claimed}):
        note_delivery(tx, tenant, connection_id, max(d.received_at for d in claimed if d.connection_id == connection_id))
    changes: dict[str, Any] = {"deliveries": len(claimed), "events": len(fresh), **written.changes()}
    append_audit(tx, tenant, now, "machine", "deliveries applied", changes)
    return Applied(len(claimed), written.earliest, tuple(d.id for d in claimed))


def _parse(delivery: Any, connection: Connection, outside: Outside) -> Parsed:
    request = InboundRequest(headers=delivery.headers, body=delivery.body or b"", received_at=delivery.received_at)
    return outside.connector(connection.connector).parse(request, connection.options)


def _bind(tx: Transaction, tenant: int, rows: Sequence[dict[str, Any]]) -> None:
    """Give each event row its ticket and promise."""
    first: dict[int, dict[str, tuple[int, bool]]] = {}
    for row in rows:
        external = row["external_id"]
        if external is not None:
            seen = first.setdefault(row["connection_id"], {})
            if external not in seen or row["received_at"] < seen[external][0]:
                seen[external] = (row["received_at"], bool(row["data"].get("history")))
    for connection, externals in sorted(first.items()):
        known = ensure_tickets(tx, tenant, connection, externals)
        for row in rows:
            if row["connection_id"] == connection and row["external_id"] in known:
                row["ticket_id"], row["promise_id"] = known[row["external_id"]]


def _became(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"events": len(rows), "kinds": sorted({r["kind"] for r in rows}), "tickets": sorted({r["external_id"] for r in rows if r["external_id"]})[:20]}


def _repeated(made: Sequence[Mapping[str, Any]], fresh: set[tuple[int, str]], by_key: Mapping[tuple[int, str], Mapping[str, Any]]) -> str | None:
    """A sentence when every event of a delivery was known already."""
    if any((r["connection_id"], r["event_key"]) in fresh and by_key[(r["connection_id"], r["event_key"])] is r for r in made):
        return None
    return "its event was known already: nothing changed"
