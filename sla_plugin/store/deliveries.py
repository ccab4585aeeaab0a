"""Deliveries: the raw inbound requests, kept as they came; the inbox is those in state `stored`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Index, LargeBinary, String, Table, UniqueConstraint, bindparam, func, select, text, union_all, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import among, insert_rows, update_rows
from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.latest import states_of_latest

STATES = ("stored", "applied", "ignored", "unreadable", "failed")
_SET_ASIDE = "state IN ('unreadable', 'failed')"  # as text, so that both databases see that the partial index serves

SPENT = "state IN ('applied', 'ignored')"
SPENT_BODY = f"body IS NOT NULL AND {SPENT}"  # a body that nothing will read again


class Delivery(TenantRow, Base):
    """One raw inbound request."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("tenant_id", "connection_id", "delivery_key"),
        # the inbox: one partial index across tenants (a work queue is exempt from tenant first)
        Index("ix_delivery_inbox", "history", "id", postgresql_where=text("state = 'stored'"), sqlite_where=text("state = 'stored'")),
        Index("ix_delivery_recent", "tenant_id", "connection_id", "received_at"),
        Index("ix_delivery_body", "tenant_id", "received_at", postgresql_where=text(SPENT_BODY), sqlite_where=text(SPENT_BODY)),
        Index("ix_delivery_ignored", "tenant_id", "id", postgresql_where=text("state = 'ignored'"), sqlite_where=text("state = 'ignored'")),
        Index("ix_delivery_set_aside", "tenant_id", "state", "id", postgresql_where=text(_SET_ASIDE), sqlite_where=text(_SET_ASIDE)),
    )
    connection_id: Mapped[int]
    delivery_key: Mapped[str] = mapped_column(String(200))
    received_at: Mapped[int]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(12), default="stored")
    history: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str | None]
    tries: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[int | None]
    duplicates: Mapped[int] = mapped_column(default=0)
    applied_at: Mapped[int | None]
    became: Mapped[dict[str, Any] | None]  # {"events": n, "tickets": [...], "kind": ...}


BATCH_BYTES = 1_000_000  # of bodies applied in one transaction
DELIVERIES = cast(Table, Delivery.__table__)
_COUNT_DUPLICATE = (
    update(DELIVERIES)
    .where(
        DELIVERIES.c.tenant_id == bindparam("b_tenant"),
        DELIVERIES.c.connection_id == bindparam("b_connection"),
        DELIVERIES.c.delivery_key == bindparam("b_key"),
    )
    .values(duplicates=DELIVERIES.c.duplicates + 1)
)


def insert_deliveries(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> set[int]:
    """Store deliveries; returns the ids of the new ones (the others are duplicates of what is stored already)."""
    return {row[0] for row in insert_rows(tx, DELIVERIES, rows, known=("tenant_id", "connection_id", "delivery_key"), returning=("id",))}


def count_duplicates(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """These deliveries came again."""
    tx.connection().execute(_COUNT_DUPLICATE, [{"b_tenant": r["tenant_id"], "b_connection": r["connection_id"], "b_key": r["delivery_key"]} for r in rows])


def delivery_row(tenant: int, connection: int, key: str, received_at: int, headers: Mapping[str, str], body: bytes, history: bool = False) -> dict[str, Any]:
    """A row ready to insert."""
    return {
        "tenant_id": tenant,
        "id": new_id(),
        "connection_id": connection,
        "delivery_key": key[:200],
        "received_at": received_at,
        "headers": dict(headers),
        "body": body,
        "state": "stored",
        "history": history,
        "tries": 0,
        "duplicates": 0,
    }


def next_tenant(tx: Transaction, now: int) -> int | None:
    """The tenant whose delivery waits longest (live before history); None if the inbox is empty."""
    return tx.scalar(
        select(Delivery.tenant_id)
        .where(Delivery.state == "stored", func.coalesce(Delivery.retry_at, 0) <= now)
        .order_by(Delivery.history, Delivery.id)
        .limit(1)
    )


def claim_deliveries(tx: Transaction, tenant: int, limit: int, now: int) -> Sequence[Any]:
    """Lock the oldest stored deliveries of a tenant for this transaction (live before history); rows another worker holds are passed over.

    At most `limit`, and no more than BATCH_BYTES of bodies (but one): a batch has a size in memory, however many events a delivery holds.
    """
    waiting = (Delivery.tenant_id == tenant, Delivery.state == "stored", func.coalesce(Delivery.retry_at, 0) <= now)
    oldest = select(Delivery.id, func.length(Delivery.body).label("size")).where(*waiting).order_by(Delivery.history, Delivery.id).limit(limit)
    if tx.is_postgres:
        oldest = oldest.with_for_update(skip_locked=True)
    chosen: list[int] = []
    size = 0
    for row in tx.execute(oldest):
        size += row.size or 0
        if chosen and size > BATCH_BYTES:
            break
        chosen.append(row.id)
    if not chosen:
        return []
    return tx.execute(
        select(Delivery.id, Delivery.connection_id, Delivery.received_at, Delivery.headers, Delivery.body, Delivery.tries, Delivery.history)
        .where(Delivery.tenant_id == tenant, among(tx, DELIVERIES.c.id, chosen))
        .order_by(Delivery.history, Delivery.id)
    ).all()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a claimed delivery became; `tries` counts this one."""

    delivery: int
    tries: int
    state: str
    reason: str | None = None
    became: Mapping[str, Any] | None = None


def settle_deliveries(tx: Transaction, tenant: int, now: int, outcomes: Sequence[Outcome]) -> None:
    """Record what each delivery became."""
    rows = [{"id": o.delivery, "state": o.state, "reason": o.reason, "applied_at": now, "became": o.became, "tries": o.tries} for o in outcomes]
    update_rows(tx, DELIVERIES, tenant, rows, ("state", "reason", "applied_at", "became", "tries"))


def postpone_delivery(tx: Transaction, tenant: int, delivery: int, retry_at: int, reason: str) -> None:
    """A batch with this delivery failed: try it again, alone, not before `retry_at`."""
    tx.execute(
        update(Delivery).where(Delivery.tenant_id == tenant, Delivery.id == delivery).values(tries=Delivery.tries + 1, retry_at=retry_at, reason=reason[:500])
    )


def requeue(tx: Transaction, tenant: int, delivery: int) -> bool:
    """Put a delivery back into the inbox; False if it does not exist or its body is gone."""
    return bool(
        tx.change(
            update(Delivery)
            .where(Delivery.tenant_id == tenant, Delivery.id == delivery, Delivery.body.is_not(None))
            .values(state="stored", reason=None, retry_at=None, tries=0)
        )
    )


def watermarks(tx: Transaction, before: int) -> dict[int, int]:
    """Connections with untried live deliveries received before `before`: up to when their facts are complete."""
    rows = tx.execute(
        select(Delivery.connection_id, func.min(Delivery.received_at))
        .where(Delivery.state == "stored", Delivery.tries == 0, Delivery.history.is_(False), Delivery.received_at < before)
        .group_by(Delivery.connection_id)
    )
    return {row[0]: row[1] for row in rows}


def inbox_depth(tx: Transaction, most: int) -> Sequence[Any]:
    """(tenant_id, history, retrying, count, oldest) of the inbox, `oldest` being a receipt; the oldest `most` of live ones and of history are looked at."""
    found: list[Any] = []
    for history in ("false", "true"):
        some = (
            select(Delivery.tenant_id, Delivery.history, (Delivery.tries > 0).label("retrying"), Delivery.received_at)
            .where(text(f"delivery.state = 'stored' AND delivery.history = {history}"))
            .order_by(Delivery.id)
            .limit(most)
            .subquery()
        )
        kind = (some.c.tenant_id, some.c.history, some.c.retrying)
        found += tx.execute(select(*kind, func.count().label("count"), func.min(some.c.received_at).label("oldest")).group_by(*kind)).all()
    return found


def set_aside_deliveries(tx: Transaction, most: int) -> Sequence[Any]:
    """(tenant_id, state, count) of deliveries that could not be read or applied; `most` are looked at."""
    some = select(Delivery.tenant_id, Delivery.state).where(text(f"delivery.{_SET_ASIDE}")).limit(most).subquery()
    return tx.execute(select(some.c.tenant_id, some.c.state, func.count().label("count")).group_by(some.c.tenant_id, some.c.state)).all()


def deliveries_since(tx: Transaction, tenant: int, connections: Collection[int], since: int, most: int) -> dict[int, dict[str, int]]:
    """Deliveries of some connections by state, of those received since an instant; the newest `most` of each are looked at."""
    return states_of_latest(tx, tenant, Delivery.received_at, connections, since, most)


def last_applied(tx: Transaction, tenant: int, connections: Collection[int], among: int = 20) -> dict[int, Any]:
    """(id, received_at, applied_at, became) of the newest live delivery of each connection that told of a ticket, among the last ones received."""
    newest = [
        select(Delivery.connection_id, Delivery.id, Delivery.received_at, Delivery.applied_at, Delivery.became, Delivery.history)
        .where(Delivery.tenant_id == tenant, Delivery.connection_id == connection)
        .order_by(Delivery.received_at.desc())
        .limit(among)
        .subquery()
        for connection in connections
    ]
    found: dict[int, Any] = {}
    if newest:
        for row in sorted(tx.execute(union_all(*(select(one) for one in newest))), key=lambda row: -row.received_at):
            if row.applied_at is not None and not row.history and (row.became or {}).get("tickets"):
                found.setdefault(row.connection_id, row)
    return found


def get_delivery(tx: Transaction, tenant: int, delivery: int) -> Delivery | None:
    """One delivery."""
    return tx.get(Delivery, (tenant, delivery))


def find_deliveries(tx: Transaction, tenant: int, word: str) -> Sequence[Delivery]:
    """Deliveries whose id or delivery key is `word` (a key may occur once per connection)."""
    found = tx.scalars(select(Delivery).where(Delivery.tenant_id == tenant, Delivery.delivery_key == word).order_by(Delivery.id)).all()
    if not found and word.isascii() and word.isdigit() and int(word) < 2**63:
        one = get_delivery(tx, tenant, int(word))
        return [one] if one else []
    return found


def deliveries_in(tx: Transaction, tenant: int, states: Collection[str], connection: int | None = None) -> Sequence[Delivery]:
    """Deliveries in some states whose body is still kept, oldest first; of one connection, if given."""
    query = select(Delivery).where(Delivery.tenant_id == tenant, Delivery.state.in_(list(states)), Delivery.body.is_not(None)).order_by(Delivery.id)
    if connection is not None:
        query = query.where(Delivery.connection_id == connection)
    return tx.scalars(query).all()


def drop_bodies(tx: Transaction, tenant: int, deliveries: Collection[int]) -> int:
    """Drop the raw bodies of those of some deliveries that nothing will read again; what they became stays. Returns how many had one."""
    mine = (DELIVERIES.c.tenant_id == tenant, among(tx, DELIVERIES.c.id, deliveries), text(SPENT_BODY))
    return tx.change(update(DELIVERIES).where(*mine).values(body=None))
