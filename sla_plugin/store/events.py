"""Events: the normalised facts of every promise, in the words of the helpdesk."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Index, String, Table, Text, UniqueConstraint, bindparam, delete, func, literal_column, select, union_all, update
from sqlalchemy import cast as cast_type
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.engine.events import Event
from sla_plugin.store.bulk import among, insert_rows, of_tenant, update_rows
from sla_plugin.store.checkpoints import drop_checkpoints
from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import Ticket


class EventRow(TenantRow, Base):
    """One event. `said_at` is the vendor's instant where it was clamped or missing; `own` marks the echo of a write of ours."""

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("tenant_id", "connection_id", "event_key"), Index("ix_event_history", "tenant_id", "promise_id", "occurred_at"))
    connection_id: Mapped[int]
    event_key: Mapped[str] = mapped_column(String(250))
    promise_id: Mapped[int | None]
    ticket_id: Mapped[int | None]
    external_id: Mapped[str | None] = mapped_column(String(200))
    delivery_id: Mapped[int | None]
    kind: Mapped[str] = mapped_column(String(40))
    occurred_at: Mapped[int]
    said_at: Mapped[int | None]
    received_at: Mapped[int]
    sequence: Mapped[int | None]
    actor_id: Mapped[str | None] = mapped_column(String(200))
    actor_role: Mapped[str] = mapped_column(String(10))
    public: Mapped[bool | None]
    own: Mapped[bool] = mapped_column(default=False)
    data: Mapped[dict[str, Any]]  # field, from, to, values, seen, seen_at, added, removed, comment_id, customer, opening, history


EVENTS = cast(Table, EventRow.__table__)
CLAMP = 2_000_000  # an event may lie at most this many microseconds after its receipt


def event_row(tenant: int, connection: int, delivery: int | None, received_at: int, event: Event, *, own: bool = False) -> dict[str, Any]:
    """A row ready to insert: an instant later than received_at + 2 s is clamped to it (the original kept), a missing one is received_at."""
    at = event.at
    if at is None or at > received_at + CLAMP:
        at = received_at
    data: dict[str, Any] = {}
    if event.field is not None:
        data.update(field=event.field, **{"from": event.before, "to": event.after})
    elif event.after is not None:
        data["to"] = event.after
    for name in ("values", "seen", "comment_id", "customer", "opening", "history", "history_end"):
        value = getattr(event, name)
        if value:
            data[name] = dict(value) if isinstance(value, Mapping) else value
    if event.added or event.removed:
        data["added"], data["removed"] = list(event.added), list(event.removed)
    if event.seen_at is not None:
        data["seen_at"] = event.seen_at
    return {
        "tenant_id": tenant,
        "id": new_id(),
        "connection_id": connection,
        "event_key": event.key[:250],
        "promise_id": None,
        "ticket_id": None,
        "external_id": event.ticket,
        "delivery_id": delivery,
        "kind": event.kind,
        "occurred_at": at,
        "said_at": event.at if event.at != at else None,
        "received_at": received_at,
        "sequence": event.sequence,
        "actor_id": event.actor_id,
        "actor_role": event.actor_role,
        "public": event.public,
        "own": own,
        "data": data,
    }


def insert_events(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> set[tuple[int, str]]:
    """Insert events; those whose key is known change nothing. Returns (connection, key) of the new ones."""
    key = ("connection_id", "event_key")
    return {(c, k) for c, k in insert_rows(tx, EVENTS, of_tenant(tenant, rows), known=("tenant_id", *key), returning=key)}


class PastEvent(NamedTuple):
    """One event of a promise's history, its columns as stored."""

    promise_id: int
    ticket_id: int | None
    id: int
    event_key: str
    kind: str
    occurred_at: int
    received_at: int
    sequence: int | None
    actor_id: str | None
    actor_role: str
    public: bool | None
    own: bool
    data: Mapping[str, Any]


_HISTORY = (*(EVENTS.c[name] for name in PastEvent._fields[:-1]), cast_type(EVENTS.c.data, Text))


def read_histories(tx: Transaction, tenant: int, promises: Collection[int]) -> dict[int, list[PastEvent]]:
    """All events of some promises, by promise; `data` is shared between events that say the same, so nobody changes it."""
    histories: dict[int, list[PastEvent]] = defaultdict(list)
    said: dict[str, Mapping[str, Any]] = {}  # half of what events say has been said before: parsed once
    for row in tx.execute(select(*_HISTORY).where(EVENTS.c.tenant_id == tenant, among(tx, EVENTS.c.promise_id, promises))).all():
        text = row[-1]
        data = said.get(text)
        if data is None:
            data = said[text] = json.loads(text)
        histories[row[0]].append(PastEvent._make((*row[:-1], data)))
    return histories


def write_events(tx: Transaction, tenant: int, rows: Sequence[PastEvent]) -> None:
    """Replace what events say and who made them, under the lock of their promise. Their keys, kinds and instants stay."""
    changed = [{"id": row.id, "data": dict(row.data), "actor_id": row.actor_id} for row in rows]
    update_rows(tx, EVENTS, tenant, changed, ("data", "actor_id"))


def deliveries_of(tx: Transaction, tenant: int, promises: Collection[int]) -> set[int]:
    """The deliveries that told the events of some promises."""
    query = select(EventRow.delivery_id).where(EventRow.tenant_id == tenant, EventRow.promise_id.in_(list(promises)), EventRow.delivery_id.is_not(None))
    return {delivery for delivery in tx.scalars(query.distinct()) if delivery is not None}


def last_deliveries(tx: Transaction, tenant: int, promises: Collection[int]) -> dict[int, int]:
    """The delivery that told the latest event of each promise: the trace of what the promise does next. Ids of deliveries are ordered by time."""
    query = select(EventRow.promise_id, func.max(EventRow.delivery_id)).where(
        EventRow.tenant_id == tenant, EventRow.promise_id.in_(list(promises)), EventRow.delivery_id.is_not(None)
    )
    return {promise: delivery for promise, delivery in tx.execute(query.group_by(EventRow.promise_id)) if promise is not None and delivery is not None}


def latest_of_deliveries(tx: Transaction, tenant: int, told: Mapping[int, tuple[int, str]], among: int = 50) -> dict[int, int]:
    """When the latest event happened that each delivery told of a ticket (connection, external id); looked for among the ticket's latest events."""
    latest = []
    for delivery, (connection, external) in told.items():
        ticket = (Ticket.tenant_id == tenant, Ticket.connection_id == connection, Ticket.external_id == external)
        events = select(EventRow.occurred_at, EventRow.delivery_id).where(
            EventRow.tenant_id == tenant, EventRow.promise_id == select(Ticket.promise_id).where(*ticket).scalar_subquery()
        )
        some = events.order_by(EventRow.occurred_at.desc()).limit(among).subquery()
        latest.append(select(some).where(some.c.delivery_id == delivery))
    found: dict[int, int] = {}
    for row in tx.execute(union_all(*latest)) if latest else ():
        found[row.delivery_id] = max(row.occurred_at, found.get(row.delivery_id, row.occurred_at))
    return found


def events_of_delivery(tx: Transaction, tenant: int, delivery: int, promises: Collection[int]) -> Sequence[EventRow]:
    """The events a delivery became, among those of some promises (there is no index by delivery: events are written far more often than traced)."""
    mine = (EventRow.tenant_id == tenant, EventRow.promise_id.in_(list(promises)), EventRow.delivery_id == delivery)
    return tx.scalars(select(EventRow).where(*mine).order_by(EventRow.occurred_at, EventRow.id)).all()


class Told(NamedTuple):
    """One event of a promise's history, as evaluating needs it: `shown` is the JSON text of the ticket shown with it, `said` that of the rest."""

    promise_id: int
    event_key: str
    kind: str
    occurred_at: int
    sequence: int | None
    actor_id: str | None
    actor_role: str
    public: bool | None
    own: bool
    said: str
    shown: str | None


_PLAIN = tuple(EVENTS.c[name] for name in Told._fields[:-2])
_APART = {  # the ticket as it was shown comes back with event after event, and so does the rest without its comment's id
    True: (cast_type(EVENTS.c.data.op("-")(literal_column("'{seen,comment_id}'::text[]")), Text), EVENTS.c.data.op("->>")("seen")),
    False: (func.json_remove(EVENTS.c.data, "$.seen", "$.comment_id"), func.json_extract(EVENTS.c.data, "$.seen")),
}
_TOLD = {postgres: select(*_PLAIN, *apart).where(EVENTS.c.tenant_id == bindparam("of_tenant")) for postgres, apart in _APART.items()}


def read_told(tx: Transaction, tenant: int, promises: Collection[int], after: int | None = None) -> Sequence[Any]:
    """The events of some promises in no order: rows like Told; with `after` only those that happened later than that instant."""
    query = _TOLD[tx.is_postgres].where(among(tx, EVENTS.c.promise_id, promises))
    if after is not None:
        query = query.where(EVENTS.c.occurred_at > after)
    return tx.execute(query, {"of_tenant": tenant}).all()


_OWN = (
    update(EventRow)
    .where(EventRow.tenant_id == bindparam("b_tenant"), EventRow.connection_id == bindparam("b_connection"), EventRow.event_key == bindparam("b_key"))
    .values(own=True)
)


def mark_own(tx: Transaction, tenant: int, keys: Collection[tuple[int, str]]) -> None:
    """Mark events as echoes of our own writes; under the lock of their promises."""
    if keys:
        tx.connection().execute(_OWN, [{"b_tenant": tenant, "b_connection": c, "b_key": k} for c, k in keys])
        for connection, key in keys:
            _forget_fold(tx, tenant, connection, key)


def delete_event(tx: Transaction, tenant: int, connection: int, key: str) -> None:
    """Take back an own write that never happened, under the lock of its promise; nothing else is ever deleted."""
    _forget_fold(tx, tenant, connection, key)
    tx.execute(
        delete(EventRow).where(EventRow.tenant_id == tenant, EventRow.connection_id == connection, EventRow.event_key == key, EventRow.kind == "own.write")
    )


def _forget_fold(tx: Transaction, tenant: int, connection: int, key: str) -> None:
    """An event is not what it was when it was folded."""
    found = tx.scalars(select(EventRow.promise_id).where(EventRow.tenant_id == tenant, EventRow.connection_id == connection, EventRow.event_key == key))
    drop_checkpoints(tx, tenant, [promise for promise in found if promise is not None])


def find_comment(tx: Transaction, tenant: int, promise: int, comment_id: str) -> Sequence[str]:
    """Keys of the events of a promise that tell of a comment."""
    rows = tx.execute(
        select(EventRow.event_key, EventRow.data).where(
            EventRow.tenant_id == tenant, EventRow.promise_id == promise, EventRow.kind.in_(("note.internal", "reply.public"))
        )
    )
    return [key for key, data in rows if data.get("comment_id") == comment_id]
