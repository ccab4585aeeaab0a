"""Alerts: a warning, critical or breach that a person should know of; one per clock, cycle and level."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Index, String, Table, UniqueConstraint, select, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import insert_rows, of_tenant
from sla_plugin.store.db import Base, TenantRow, Transaction


class Alert(TenantRow, Base):
    """`due_at` is the instant the threshold was passed, `raised_at` when we knew and committed it."""

    __tablename__ = "alert"
    __table_args__ = (UniqueConstraint("tenant_id", "promise_id", "metric", "cycle", "level"), Index("ix_alert_recent", "tenant_id", "raised_at"))
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


def insert_alerts(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> set[tuple[int, str, int, str]]:
    """Insert alerts; returns (promise, metric, cycle, level) of the new ones."""
    key = ("promise_id", "metric", "cycle", "level")
    fresh = insert_rows(tx, cast(Table, Alert.__table__), of_tenant(tenant, rows), known=("tenant_id", *key), returning=key)
    return {(p, m, c, level) for p, m, c, level in fresh}


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
