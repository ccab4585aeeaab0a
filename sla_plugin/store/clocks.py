"""Clocks, compliance records and their corrections: what evaluate said, as rows."""

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import Index, String, Table, UniqueConstraint, delete, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import insert_rows, of_tenant, upsert_rows
from sla_plugin.store.db import Base, TenantRow, Transaction


class Clock(TenantRow, Base):
    """One cycle of one metric of a promise. Durations are microseconds of counted time; instants microseconds UTC."""

    __tablename__ = "clock"
    __table_args__ = (
        UniqueConstraint("tenant_id", "promise_id", "metric", "cycle"),
        Index("ix_clock_open", "tenant_id", "open", "deadline_at"),
    )
    promise_id: Mapped[int]
    ticket_id: Mapped[int]
    metric: Mapped[str] = mapped_column(String(40))
    cycle: Mapped[int]
    phase: Mapped[str] = mapped_column(String(10))
    open: Mapped[bool]
    started_at: Mapped[int]
    stopped_at: Mapped[int | None]
    finished_at: Mapped[int | None]
    target: Mapped[int | None]
    elapsed: Mapped[int]  # counted up to `counted_at`
    counted_at: Mapped[int]
    deadline_at: Mapped[int | None]  # None while on hold
    deadline_next_open_at: Mapped[int | None]
    warning_at: Mapped[int | None]
    critical_at: Mapped[int | None]
    breached_at: Mapped[int | None]
    policy_id: Mapped[int | None]
    policy_version: Mapped[int | None]
    calendar_id: Mapped[int | None]
    calendar_version: Mapped[int | None]
    hold_cause: Mapped[str | None] = mapped_column(String(100))


class Record(TenantRow, Base):
    """The compliance record of a finished cycle: immutable; a contradicting late fact adds a Correction."""

    __tablename__ = "record"
    __table_args__ = (UniqueConstraint("tenant_id", "promise_id", "metric", "cycle"), Index("ix_record_finished", "tenant_id", "finished_at"))
    promise_id: Mapped[int]
    ticket_id: Mapped[int]
    external_id: Mapped[str] = mapped_column(String(200))
    connection_id: Mapped[int]
    metric: Mapped[str] = mapped_column(String(40))
    cycle: Mapped[int]
    started_at: Mapped[int]
    stopped_at: Mapped[int]
    finished_at: Mapped[int]
    target: Mapped[int]
    elapsed: Mapped[int]
    elapsed_wall: Mapped[int]
    met: Mapped[bool]
    overrun: Mapped[int]
    deadline_at: Mapped[int | None]
    breached_at: Mapped[int | None]
    policy_id: Mapped[int | None]
    policy_version: Mapped[int | None]
    calendar_id: Mapped[int | None]
    calendar_version: Mapped[int | None]
    priority: Mapped[str | None] = mapped_column(String(40))
    type: Mapped[str | None] = mapped_column(String(100))
    category: Mapped[str | None] = mapped_column(String(100))
    channel: Mapped[str | None] = mapped_column(String(100))
    assignee: Mapped[str | None] = mapped_column(String(200))
    team: Mapped[str | None] = mapped_column(String(200))
    organization: Mapped[str | None] = mapped_column(String(200))
    recorded_at: Mapped[int]


class Correction(TenantRow, Base):
    """A late fact contradicts a record: what the record says, what is true now, and the events that came late."""

    __tablename__ = "correction"
    __table_args__ = (
        UniqueConstraint("tenant_id", "record_id", "number"),
        Index("ix_correction_promise", "tenant_id", "promise_id"),
    )
    record_id: Mapped[int]
    promise_id: Mapped[int]
    metric: Mapped[str] = mapped_column(String(40))
    cycle: Mapped[int]
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    was: Mapped[dict[str, Any]]
    now: Mapped[dict[str, Any] | None]  # None: the cycle never happened
    cause: Mapped[dict[str, Any]]
    made_at: Mapped[int]


CLOCKS = cast(Table, Clock.__table__)
_CLOCK_KEY = ("tenant_id", "promise_id", "metric", "cycle")
CLOCK_COLUMNS = ("id", *(c.key for c in Clock.__table__.columns if c.key != "id"))
_SAYS = itemgetter(*CLOCK_COLUMNS[1:])
_CLOCK_CHANGES = tuple(c.key for c in Clock.__table__.columns if c.key not in (*_CLOCK_KEY, "id"))


def read_clocks(tx: Transaction, tenant: int, promises: Collection[int]) -> Sequence[Any]:
    """The stored clocks of some promises: plain rows of CLOCK_COLUMNS, cheaper by far than objects where a sweep reads thousands."""
    return tx.execute(select(*(CLOCKS.c[name] for name in CLOCK_COLUMNS)).where(CLOCKS.c.tenant_id == tenant, CLOCKS.c.promise_id.in_(list(promises)))).all()


def same_clock(stored: Any, row: Mapping[str, Any]) -> bool:
    """Whether a row to write says what the stored one says already."""
    return bool(tuple(stored)[1:] == _SAYS(row))


_STANDING = ("promise_id", "metric", "cycle", "phase", "target", "elapsed", "deadline_at", "deadline_next_open_at", "warning_at", "critical_at")


def read_open_clocks(tx: Transaction, tenant: int, promises: Collection[int]) -> Sequence[Any]:
    """How the open clocks of some promises stand: plain rows with the columns that say when they are due."""
    columns = (CLOCKS.c[name] for name in (*_STANDING, "breached_at", "policy_id"))
    return tx.execute(select(*columns).where(CLOCKS.c.tenant_id == tenant, CLOCKS.c.promise_id.in_(list(promises)), CLOCKS.c.open.is_(True))).all()


def write_clocks(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or replace clocks by (promise, metric, cycle)."""
    upsert_rows(tx, CLOCKS, of_tenant(tenant, rows), key=_CLOCK_KEY, change=_CLOCK_CHANGES)


def delete_clocks(tx: Transaction, tenant: int, ids: Collection[int]) -> None:
    """Delete cycles that, with the facts known now, never were (their records, if any, stay and are corrected)."""
    if ids:
        tx.execute(delete(Clock).where(Clock.tenant_id == tenant, Clock.id.in_(list(ids))))


def read_records(tx: Transaction, tenant: int, promises: Collection[int]) -> Sequence[Record]:
    """The records of some promises."""
    return tx.scalars(select(Record).where(Record.tenant_id == tenant, Record.promise_id.in_(list(promises)))).all()


def insert_records(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert records; one that exists already stays as it is."""
    insert_rows(tx, cast(Table, Record.__table__), of_tenant(tenant, rows), known=_CLOCK_KEY)


def insert_corrections(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert corrections, numbered per record under the promise's lock."""
    if rows:
        tx.connection().execute(insert(Correction), list(of_tenant(tenant, rows)))


def latest_corrections(tx: Transaction, tenant: int, promises: Collection[int]) -> dict[int, tuple[int, str]]:
    """(number, digest) of the latest correction of each record, by record id."""
    rows = tx.execute(
        select(Correction.record_id, Correction.number, Correction.digest)
        .where(Correction.tenant_id == tenant, Correction.promise_id.in_(list(promises)))
        .order_by(Correction.number)
    )
    return {r.record_id: (r.number, r.digest) for r in rows}


def corrections_of(tx: Transaction, tenant: int, promise: int) -> Sequence[Correction]:
    """The corrections of a promise's records, in order."""
    return tx.scalars(
        select(Correction)
        .where(Correction.tenant_id == tenant, Correction.promise_id == promise)
        .order_by(Correction.metric, Correction.cycle, Correction.number)
    ).all()
