"""Plans of changes: what a draft would do to open clocks, worked out in chunks, each with the moves it found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Index, String, delete, insert, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id


class PlanRow(TenantRow, Base):
    """What an edition of a draft would do, compared with a revision of the books.

    state       computing, ready, failed (`trouble` says why) or applied
    file, was   {"calendars": {name: definition}, "policies": {...}}: what would be in force, and what is (None: new)
    as_of       the instant from which the change is taken to hold; the plan is as old as that
    cursor      the last promise that was looked at; `promises` of `total` were, with `clocks` open clocks
    counts      by outcome; worst: the first moves, worst first
    differs     how many tickets stand otherwise than in the plan before it; None if there was none, -1 if it is not known how many
    revision    of the books it was compared with; `applied_revision` is the one that applying it made
    """

    __tablename__ = "plan"
    __table_args__ = (
        Index("ix_plan_draft", "tenant_id", "draft_id"),
        Index("ix_plan_object", "tenant_id", "kind", "object_id", "id"),
        Index("ix_plan_computing", "id", postgresql_where=text("state = 'computing'"), sqlite_where=text("state = 'computing'")),
    )
    draft_id: Mapped[int]
    kind: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    edition: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    trouble: Mapped[str | None] = mapped_column(String(1000))
    file: Mapped[dict[str, Any]]
    was: Mapped[dict[str, Any]]
    revision: Mapped[int]
    as_of: Mapped[int]
    cursor: Mapped[int]
    promises: Mapped[int]
    total: Mapped[int]
    clocks: Mapped[int]
    counts: Mapped[dict[str, Any]]
    worst: Mapped[list[Any]]
    differs: Mapped[int | None]
    made_by: Mapped[str] = mapped_column(String(200))
    applied_revision: Mapped[int | None]
    applied_at: Mapped[int | None]
    applied_by: Mapped[str | None] = mapped_column(String(200))
    quiet: Mapped[bool]


class PlanPart(TenantRow, Base):
    """The moves that one chunk of a plan found, as data."""

    __tablename__ = "plan_part"
    __table_args__ = (Index("ix_plan_part", "tenant_id", "plan_id", "id"),)
    plan_id: Mapped[int]
    moves: Mapped[list[Any]]


def insert_plan(tx: Transaction, tenant: int, **values: Any) -> int:
    """A new plan; returns its id."""
    made = new_id()
    tx.execute(insert(PlanRow).values(tenant_id=tenant, id=made, **values))
    return made


def get_plan(tx: Transaction, tenant: int, plan: int) -> PlanRow | None:
    """One plan by its id."""
    return tx.get(PlanRow, (tenant, plan))


def plan_of_draft(tx: Transaction, tenant: int, draft: int) -> PlanRow | None:
    """The newest plan of a draft."""
    query = select(PlanRow).where(PlanRow.tenant_id == tenant, PlanRow.draft_id == draft)
    return tx.scalars(query.order_by(PlanRow.id.desc()).limit(1)).one_or_none()


def last_applied(tx: Transaction, tenant: int, kind: str, object_id: int) -> PlanRow | None:
    """The plan of an object that was applied last."""
    query = select(PlanRow).where(PlanRow.tenant_id == tenant, PlanRow.kind == kind, PlanRow.object_id == object_id, PlanRow.state == "applied")
    return tx.scalars(query.order_by(PlanRow.id.desc()).limit(1)).one_or_none()


def computing_plan(tx: Transaction) -> tuple[int, int] | None:
    """(tenant, plan) of the oldest plan that is being worked out, of whatever tenant."""
    row = tx.execute(select(PlanRow.tenant_id, PlanRow.id).where(PlanRow.state == "computing").order_by(PlanRow.id).limit(1)).first()
    return (row.tenant_id, row.id) if row is not None else None


def advance_plan(tx: Transaction, tenant: int, plan: int, cursor: int, as_of: int, values: Mapping[str, Any], moves: Sequence[Any]) -> bool:
    """Write down the chunk after `cursor` of a plan that is computed as of an instant; False, and nothing, if somebody did already or began it anew."""
    where = (PlanRow.tenant_id == tenant, PlanRow.id == plan, PlanRow.cursor == cursor, PlanRow.as_of == as_of, PlanRow.state == "computing")
    if not tx.execute(update(PlanRow).where(*where).values(**values).returning(PlanRow.id)).all():
        return False
    if moves:
        tx.execute(insert(PlanPart).values(tenant_id=tenant, id=new_id(), plan_id=plan, moves=list(moves)))
    return True


def update_plan(tx: Transaction, tenant: int, plan: int, **values: Any) -> None:
    """Set columns of a plan."""
    tx.execute(update(PlanRow).where(PlanRow.tenant_id == tenant, PlanRow.id == plan).values(**values))


def plan_moves(tx: Transaction, tenant: int, plan: int) -> Iterator[Any]:
    """Every move of a plan, chunk by chunk, in the order of the tickets."""
    after = 0
    while True:
        query = select(PlanPart.id, PlanPart.moves).where(PlanPart.tenant_id == tenant, PlanPart.plan_id == plan, PlanPart.id > after)
        part = tx.execute(query.order_by(PlanPart.id).limit(1)).first()
        if part is None:
            return
        yield from part.moves
        after = part.id


def delete_parts(tx: Transaction, tenant: int, plan: int) -> None:
    """Forget the moves of a plan that is computed anew."""
    tx.execute(delete(PlanPart).where(PlanPart.tenant_id == tenant, PlanPart.plan_id == plan))


def forget_plans(tx: Transaction, tenant: int, *, draft: int | None = None, before: int | None = None) -> None:
    """Drop the plans of a draft that were not applied, or those that were applied before an instant, with their moves."""
    chosen = select(PlanRow.id).where(PlanRow.tenant_id == tenant)
    if draft is not None:
        chosen = chosen.where(PlanRow.draft_id == draft, PlanRow.state != "applied")
    if before is not None:
        chosen = chosen.where(PlanRow.applied_at < before)
    ids = list(tx.scalars(chosen))
    if ids:
        tx.execute(delete(PlanPart).where(PlanPart.tenant_id == tenant, PlanPart.plan_id.in_(ids)))
        tx.execute(delete(PlanRow).where(PlanRow.tenant_id == tenant, PlanRow.id.in_(ids)))
