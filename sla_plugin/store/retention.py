"""What is kept for a while only: which rows are old enough to go, found by an index, a chunk at a time; and when each kind is looked through again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, String, Table, delete, func, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.audit import AuditEntry
from sla_plugin.store.bulk import insert_rows, with_keys
from sla_plugin.store.connections import Connection
from sla_plugin.store.credentials import OneTimeLink, Session
from sla_plugin.store.db import Base, Transaction
from sla_plugin.store.deliveries import SPENT, SPENT_BODY, Delivery
from sla_plugin.store.outbox import CallRow, CommandRow
from sla_plugin.store.personal_reads import PersonalRead
from sla_plugin.store.tickets import PROMISES, PromiseRow


class RetentionRun(Base):
    """How far the present run of a kind is. `gone`: rows removed by it so far; `kept`: what it looked at and had to keep; `next_at`: when to go on."""

    __tablename__ = "retention_run"
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    next_at: Mapped[int] = mapped_column(default=0)
    gone: Mapped[int] = mapped_column(default=0)
    kept: Mapped[int] = mapped_column(default=0)


@dataclass(frozen=True)
class Part:
    """Rows of one table that may go once `since` is old: removed, or with `values` set instead.

    where    a condition as text, so that both databases see that the partial index serves
    settled  of a promise that is still open nothing goes
    spread   by connection, as the index has them
    """

    table: Table
    since: str
    where: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    settled: bool = False
    spread: bool = False

    def conditions(self, tenant: int, before: int) -> list[ColumnElement[bool]]:
        """What makes a row old enough."""
        columns = self.table.c
        found: list[Any] = [columns.tenant_id == tenant, columns[self.since] < before]
        if self.where:
            found.append(text(self.where))
        if self.settled:
            found.append(~select(PROMISES.c.id).where(PROMISES.c.tenant_id == tenant, PROMISES.c.id == columns.promise_id, PROMISES.c.open.is_(True)).exists())
        if self.spread:  # so that the index by connection is walked
            found.append(columns.connection_id.in_(select(Connection.id).where(Connection.tenant_id == tenant)))
        return found


def _table(mapped: type[Base]) -> Table:
    return mapped.metadata.tables[mapped.__tablename__]


# kind -> its parts; events, mirrors of tickets and what else is a promise's go promise by promise (services/keep_retention.py)
PARTS: Mapping[str, Sequence[Part]] = {
    "bodies": [Part(_table(Delivery), "received_at", SPENT_BODY, {"body": None})],
    "deliveries": [Part(_table(Delivery), "received_at", SPENT, spread=True)],
    "commands": [Part(_table(mapped), "settled_at", "settled_at IS NOT NULL", settled=True) for mapped in (CommandRow, CallRow)],
    "sessions": [Part(_table(Session), "expires_at"), Part(_table(OneTimeLink), "expires_at")],
    "reads": [Part(_table(PersonalRead), "day")],
    "audit": [Part(_table(AuditEntry), "at", "salt <> ''", {"changes": {}, "salt": ""})],
}


def count_old(tx: Transaction, tenant: int, kind: str, before: int, most: int) -> int:
    """How many rows of a kind are old enough; counted up to `most`."""
    found = 0
    for part in PARTS[kind]:
        some = select(text("1")).select_from(part.table).where(*part.conditions(tenant, before)).limit(most - found).subquery()
        found += int(tx.scalar(select(func.count()).select_from(some)) or 0)
    return found


def remove_old(tx: Transaction, tenant: int, kind: str, before: int, limit: int) -> tuple[int, bool]:
    """Remove (or empty) at most `limit` rows of each part of a kind, the oldest first: how many, and whether there may be more."""
    gone, more = 0, False
    for part in PARTS[kind]:
        key = list(part.table.primary_key.columns)
        old = select(*key).where(*part.conditions(tenant, before))
        if not part.spread:
            old = old.order_by(part.table.c[part.since])
        rows = [tuple(row) for row in tx.execute(old.limit(limit))]
        if rows:
            these = with_keys(key, rows)
            tx.execute(update(part.table).where(these).values(dict(part.values)) if part.values else delete(part.table).where(these))
        gone, more = gone + len(rows), more or len(rows) == limit
    return gone, more


def settled_promises(tx: Transaction, tenant: int, level: int, before: int, limit: int) -> list[int]:
    """Promises with nothing open since an instant that are stripped less than `level`, the longest settled first; none of a running import."""
    found: list[int] = []
    for stripped in range(level):
        mine = (PromiseRow.tenant_id == tenant, PromiseRow.stripped == stripped, text("promise.settled_at IS NOT NULL"), PromiseRow.settled_at < before)
        query = select(PromiseRow.id).where(*mine, PromiseRow.history.is_(False)).order_by(PromiseRow.settled_at)
        found += tx.scalars(query.limit(limit - len(found))).all() if len(found) < limit else ()
    return found


def note_stripped(tx: Transaction, tenant: int, promises: Sequence[int], level: int) -> None:
    """Locked promises are stripped to a level."""
    tx.execute(update(PromiseRow).where(PromiseRow.tenant_id == tenant, PromiseRow.id.in_(list(promises)), PromiseRow.stripped < level).values(stripped=level))


def take_run(tx: Transaction, tenant: int, kind: str, now: int) -> RetentionRun | None:
    """The run of a kind, locked, if it is due; None if it is not, or another timekeeper has it."""
    query = select(RetentionRun).where(RetentionRun.tenant_id == tenant, RetentionRun.kind == kind)
    run = tx.scalar(query.with_for_update(skip_locked=True) if tx.is_postgres else query)
    if run is None:
        if tx.is_postgres and tx.scalar(query) is not None:
            return None
        row = {"tenant_id": tenant, "kind": kind, "next_at": 0, "gone": 0, "kept": 0}
        insert_rows(tx, _table(RetentionRun), [row], known=("tenant_id", "kind"))  # of two who begin it at once one does
        run = tx.scalar(query.with_for_update(skip_locked=True) if tx.is_postgres else query)
    return run if run is not None and run.next_at <= now else None


def note_run(tx: Transaction, tenant: int, kind: str, next_at: int, gone: int, kept: int) -> None:
    """How far the run of a kind is now."""
    values = {"next_at": next_at, "gone": gone, "kept": kept}
    tx.execute(update(RetentionRun).where(RetentionRun.tenant_id == tenant, RetentionRun.kind == kind).values(**values))
