"""Clocks, compliance records and their corrections: what evaluate said, as rows."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Index, String, Table, UniqueConstraint, delete, func, insert, select, true, union_all
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import among, insert_rows, of_tenant, upsert_rows
from sla_plugin.store.db import Base, TenantRow, Transaction


class Clock(TenantRow, Base):
    """One cycle of one metric of a promise. Durations are microseconds of counted time; instants microseconds UTC.

    business    whether the target counts business time (else time as it passes)
    allowance   the part of the target that was granted on top
    owner       whose cycle it is, for metrics that have owners (group ownership: the group)
    """

    __tablename__ = "clock"
    __table_args__ = (UniqueConstraint("tenant_id", "promise_id", "metric", "cycle"),)
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
    business: Mapped[bool] = mapped_column(server_default=true())
    allowance: Mapped[int] = mapped_column(server_default="0")
    owner: Mapped[str | None] = mapped_column(String(200))


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
    granted: Mapped[int] = mapped_column(default=0)  # how much of the target was granted by hand
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
    owner: Mapped[str | None] = mapped_column(String(200))  # whose cycle it was, for metrics that have owners


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


CLOCKS, RECORDS = cast(Table, Clock.__table__), cast(Table, Record.__table__)
_CLOCK_KEY = ("tenant_id", "promise_id", "metric", "cycle")
CLOCK_SAYS = tuple(c.key for c in Clock.__table__.columns if c.key not in ("tenant_id", "id"))  # what a clock says, in the order of its columns
CLOCK_COLUMNS = ("id", *CLOCK_SAYS)
_CLOCK_CHANGES = tuple(c.key for c in Clock.__table__.columns if c.key not in (*_CLOCK_KEY, "id"))


Frozen = Mapping[int, Mapping[str, int]]  # promise -> metric -> how many of its first cycles never change any more


def _cycles(tx: Transaction, table: Table, columns: Sequence[str], tenant: int, promises: Collection[int], frozen: Frozen) -> Sequence[Any]:
    """Columns of the cycles of some promises, without the frozen ones: a ticket of many years has thousands of them."""
    query = select(*(table.c[name] for name in columns)).where(table.c.tenant_id == tenant)
    rows: list[Any] = []
    if whole := [p for p in promises if p not in frozen]:
        rows += tx.execute(query.where(among(tx, table.c.promise_id, whole)))
    for promise in promises:
        # metric by metric, as their index has them; a checkpoint knows every metric that the promise has
        counts = frozen.get(promise, {})
        beyond = [query.where(table.c.promise_id == promise, table.c.metric == metric, table.c.cycle > count) for metric, count in counts.items()]
        if beyond:
            rows += tx.execute(union_all(*beyond))
    return rows


def read_clocks(tx: Transaction, tenant: int, promises: Collection[int], frozen: Frozen) -> Sequence[Any]:
    """The stored clocks of some promises but the frozen ones: plain rows of CLOCK_COLUMNS, cheaper by far than objects where a sweep reads thousands."""
    return _cycles(tx, CLOCKS, CLOCK_COLUMNS, tenant, promises, frozen)


def same_clock(stored: Any, said: tuple[Any, ...]) -> bool:
    """Whether a stored row says what is to be said (the values of CLOCK_SAYS) already."""
    return bool(stored[1:] == said)


_STANDING = ("promise_id", "metric", "cycle", "phase", "target", "elapsed", "deadline_at", "deadline_next_open_at", "warning_at", "critical_at")


def read_open_clocks(tx: Transaction, tenant: int, promises: Collection[int]) -> Sequence[Any]:
    """How the open clocks of some promises stand: plain rows with the columns that say when they are due."""
    columns = (CLOCKS.c[name] for name in (*_STANDING, "breached_at", "policy_id"))
    return tx.execute(select(*columns).where(CLOCKS.c.tenant_id == tenant, CLOCKS.c.promise_id.in_(list(promises)), CLOCKS.c.open.is_(True))).all()


def count_open_clocks(tx: Transaction, tenant: int, most: int) -> int:
    """How many clocks are open, counted up to `most`."""
    some = select(Clock.id).where(Clock.tenant_id == tenant, Clock.open.is_(True)).limit(most).subquery()
    return int(tx.scalar(select(func.count()).select_from(some)) or 0)


def write_clocks(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or replace clocks by (promise, metric, cycle)."""
    upsert_rows(tx, CLOCKS, of_tenant(tenant, rows), key=_CLOCK_KEY, change=_CLOCK_CHANGES)


def delete_clocks(tx: Transaction, tenant: int, ids: Collection[int]) -> None:
    """Delete cycles that, with the facts known now, never were (their records, if any, stay and are corrected)."""
    if ids:
        tx.execute(delete(Clock).where(Clock.tenant_id == tenant, Clock.id.in_(list(ids))))


_NET = ("id", "promise_id", "metric", "cycle", "started_at", "stopped_at", "target", "elapsed", "breached_at")


def read_records(tx: Transaction, tenant: int, promises: Collection[int], frozen: Frozen) -> Sequence[Any]:
    """The records of some promises but those of frozen cycles: plain rows with what a verdict comes down to."""
    return _cycles(tx, RECORDS, _NET, tenant, promises, frozen)


def insert_records(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert records; one that exists already stays as it is."""
    insert_rows(tx, RECORDS, of_tenant(tenant, rows), known=_CLOCK_KEY)


def insert_corrections(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert corrections, numbered per record under the promise's lock."""
    if rows:
        tx.connection().execute(insert(Correction), list(of_tenant(tenant, rows)))


def latest_corrections(tx: Transaction, tenant: int, promises: Collection[int]) -> dict[int, tuple[int, str]]:
    """(number, digest) of the latest correction of each record, by record id."""
    rows = tx.execute(
        select(Correction.record_id, Correction.number, Correction.digest)
        .where(Correction.tenant_id == tenant, among(tx, Correction.promise_id, promises))
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
