"""Checkpoints: long histories folded up to an instant, so that one more event does not read them again."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import String, Table, Text, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import among, of_tenant, upsert_rows
from sla_plugin.store.db import Base, Transaction


class CheckpointRow(Base):
    """A promise's history up to `at` (microseconds UTC, inclusive), folded; written, read and dropped under the promise's lock.

    count   how many events it holds
    fits    digest of what the fold depends on beside events and books: the engine's code, the connection's words, the settle time
    data    the fold as JSON text
    """

    __tablename__ = "checkpoint"
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    promise_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[int]
    count: Mapped[int]
    fits: Mapped[str] = mapped_column(String(64))
    data: Mapped[str] = mapped_column(Text)


CHECKPOINTS = cast(Table, CheckpointRow.__table__)


def read_checkpoints(tx: Transaction, tenant: int, promises: Collection[int]) -> Sequence[Any]:
    """The checkpoints of some promises: rows of promise_id, at, count, fits, data. Few promises have one."""
    columns = (CHECKPOINTS.c[name] for name in ("promise_id", "at", "count", "fits", "data"))
    return tx.execute(select(*columns).where(CHECKPOINTS.c.tenant_id == tenant, among(tx, CHECKPOINTS.c.promise_id, promises))).all()


def write_checkpoints(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or replace checkpoints by promise."""
    upsert_rows(tx, CHECKPOINTS, of_tenant(tenant, rows), key=("tenant_id", "promise_id"), change=("at", "count", "fits", "data"))


def drop_checkpoints(tx: Transaction, tenant: int, promises: Collection[int]) -> None:
    """What these promises' checkpoints hold is not so any more: their next evaluation folds all."""
    if promises:
        tx.execute(delete(CheckpointRow).where(CheckpointRow.tenant_id == tenant, among(tx, CHECKPOINTS.c.promise_id, promises)))
