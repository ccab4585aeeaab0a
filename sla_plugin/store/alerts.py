"""Alerts: a warning, critical or breach that a person should know of; one per clock, cycle and level."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Index, String, Table, UniqueConstraint, false, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import among, insert_rows, of_tenant, update_rows
from sla_plugin.store.db import Base, TenantRow, Transaction

LEVELS = ("warning", "critical", "breach", "requested")  # the last one stands alone: somebody asks to escalate
OPEN = "acknowledged_at IS NULL AND resolved_at IS NULL AND NOT surpassed"
TAKEN = "acknowledged_at IS NOT NULL AND resolved_at IS NULL AND NOT surpassed"
RESOLVED = "resolved_at IS NOT NULL AND NOT surpassed"


def _listed(name: str, where: str, *columns: str) -> Index:
    # as text, so that both databases see that the partial index serves
    return Index(name, "tenant_id", *columns, postgresql_where=text(where), sqlite_where=text(where))


class Alert(TenantRow, Base):
    """`due_at` is the instant the threshold was passed, `raised_at` when we knew and committed it.

    resolved_at  when the clock stopped, or when we learned that it never ran: nobody has to do anything any more
    surpassed    a higher level of the same clock and cycle was raised: lists show that one
    """

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint("tenant_id", "promise_id", "metric", "cycle", "level"),
        Index("ix_alert_recent", "tenant_id", "raised_at"),
        # what lists filter by and are sorted by (reports/alert_list.py)
        _listed("ix_alert_open", OPEN, "level", "raised_at", "id"),
        _listed("ix_alert_open_metric", OPEN, "metric", "level", "raised_at", "id"),
        _listed("ix_alert_taken", TAKEN, "level", "raised_at", "id"),
        _listed("ix_alert_taken_by", TAKEN, "acknowledged_by", "level", "raised_at", "id"),
        _listed("ix_alert_resolved", RESOLVED, "level", "raised_at", "id"),
    )
    promise_id: Mapped[int]
    ticket_id: Mapped[int]
    connection_id: Mapped[int]
    external_id: Mapped[str] = mapped_column(String(200))
    metric: Mapped[str] = mapped_column(String(40))
    cycle: Mapped[int]
    level: Mapped[str] = mapped_column(String(10))  # warning, critical, breach
    due_at: Mapped[int]
    raised_at: Mapped[int]
    policy_id: Mapped[int | None]
    policy_version: Mapped[int | None]
    acknowledged_at: Mapped[int | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str | None]
    resolved_at: Mapped[int | None]
    surpassed: Mapped[bool] = mapped_column(default=False, server_default=false())


ALERTS = cast(Table, Alert.__table__)
Key = tuple[int, str, int]  # promise, metric, cycle


def insert_alerts(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> set[tuple[int, str, int, str]]:
    """Insert alerts; returns (promise, metric, cycle, level) of the new ones."""
    key = ("promise_id", "metric", "cycle", "level")
    fresh = insert_rows(tx, ALERTS, of_tenant(tenant, rows), known=("tenant_id", *key), returning=key)
    return {(p, m, c, level) for p, m, c, level in fresh}


def settle_alerts(tx: Transaction, tenant: int, fresh: Collection[Key], resolved: Mapping[Key, int | None]) -> None:
    """Keep alerts in step with their clocks: a higher level surpasses the lower ones; `resolved`: when these clocks stopped, None = they tick (again)."""
    touched = {key[0] for key in (*fresh, *resolved)}
    if not touched:
        return
    columns = (ALERTS.c.id, ALERTS.c.promise_id, ALERTS.c.metric, ALERTS.c.cycle, ALERTS.c.level, ALERTS.c.resolved_at, ALERTS.c.surpassed)
    stored = tx.execute(select(*columns).where(ALERTS.c.tenant_id == tenant, among(tx, ALERTS.c.promise_id, touched))).all()
    highest: dict[Key, int] = {}
    for row in stored:
        key = (row.promise_id, row.metric, row.cycle)
        highest[key] = max(highest.get(key, 0), LEVELS.index(row.level))
    rows = []
    for row in stored:
        key = (row.promise_id, row.metric, row.cycle)
        surpassed, at = LEVELS.index(row.level) < highest[key], resolved.get(key, row.resolved_at)
        if (surpassed, at) != (row.surpassed, row.resolved_at):
            rows.append({"id": row.id, "surpassed": surpassed, "resolved_at": at})
    update_rows(tx, ALERTS, tenant, rows, ("surpassed", "resolved_at"))


def get_alert(tx: Transaction, tenant: int, alert: int) -> Alert | None:
    """One alert."""
    return tx.get(Alert, (tenant, alert))


def alerts_since(tx: Transaction, tenant: int, since: int, most: int) -> Sequence[Any]:
    """(level, due_at, raised_at) of the alerts raised since an instant, the newest first, at most `most`."""
    query = select(Alert.level, Alert.due_at, Alert.raised_at).where(Alert.tenant_id == tenant, Alert.raised_at >= since)
    return tx.execute(query.order_by(Alert.raised_at.desc()).limit(most)).all()


def drop_notes(tx: Transaction, tenant: int, promises: Sequence[int]) -> None:
    """What people wrote when they took the alerts of some promises goes; that and when they took them stays."""
    mine = (Alert.tenant_id == tenant, Alert.promise_id.in_(list(promises)), Alert.note.is_not(None))
    tx.execute(update(Alert).where(*mine).values(note=None).execution_options(synchronize_session=False))


def alerts_of(tx: Transaction, tenant: int, promise: int) -> Sequence[Alert]:
    """The alerts of a promise in order."""
    return tx.scalars(select(Alert).where(Alert.tenant_id == tenant, Alert.promise_id == promise).order_by(Alert.due_at, Alert.id)).all()
