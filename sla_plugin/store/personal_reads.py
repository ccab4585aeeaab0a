"""Who looked at whose data: a row per actor, thing and day."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Index, String, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, Transaction

DAY = 86_400_000_000
KINDS = ("person", "ticket", "body", "audit", "export")


class PersonalRead(Base):
    """An actor looked at a thing of a kind so many times on a day (`day`: its beginning, microseconds UTC). What was seen is not kept."""

    __tablename__ = "personal_read"
    __table_args__ = (Index("ix_personal_read_thing", "tenant_id", "kind", "thing", "day"),)
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    actor: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    thing: Mapped[str] = mapped_column(String(100), primary_key=True)
    first_at: Mapped[int]
    last_at: Mapped[int]
    count: Mapped[int]


def note_reads(tx: Transaction, tenant: int, reads: Iterable[tuple[str, str, str, Sequence[int]]]) -> None:
    """Add looks: (actor, kind, thing, their instants, all of one day)."""
    dialect = postgresql if tx.is_postgres else sqlite
    for actor, kind, thing, instants in sorted(reads):  # in one order, so that two who note the same do not wait in a circle
        first, last = min(instants), max(instants)
        row = {"tenant_id": tenant, "day": first - first % DAY, "actor": actor[:200], "kind": kind, "thing": thing[:100], "first_at": first, "last_at": last}
        statement = dialect.insert(PersonalRead).values(**row, count=len(instants))
        key = ["tenant_id", "day", "actor", "kind", "thing"]
        latest = func.greatest(PersonalRead.last_at, last) if tx.is_postgres else func.max(PersonalRead.last_at, last)
        tx.execute(statement.on_conflict_do_update(index_elements=key, set_={"count": PersonalRead.count + len(instants), "last_at": latest}))


def reads_of(tx: Transaction, tenant: int, kind: str, thing: str, limit: int = 50) -> Sequence[Any]:
    """Who looked at a thing, the latest day first."""
    mine = (PersonalRead.tenant_id == tenant, PersonalRead.kind == kind, PersonalRead.thing == thing)
    return tx.scalars(select(PersonalRead).where(*mine).order_by(PersonalRead.day.desc(), PersonalRead.actor).limit(limit)).all()
