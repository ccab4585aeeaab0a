"""Drafts: what somebody is writing and has not put in force. One for each object and person; nobody's draft overwrites another's."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import String, UniqueConstraint, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id


class DraftRow(TenantRow, Base):
    """A proposed definition.

    kind        policy, calendar or order (of policies)
    object_id   of the policy or calendar, which takes this id if it does not exist yet; 0 for the order
    base        the version that the draft was begun on; 0 = there was none
    edition     grows with every save, so that a second window is noticed
    """

    __tablename__ = "draft"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "object_id", "person_id"),)
    kind: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[int]
    person_id: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    base: Mapped[int]
    edition: Mapped[int]
    definition: Mapped[dict[str, Any]]
    made_by: Mapped[str] = mapped_column(String(200))
    saved_at: Mapped[int]


def find_draft(tx: Transaction, tenant: int, kind: str, object_id: int, person: int) -> DraftRow | None:
    """The draft that a person has of an object."""
    mine = (DraftRow.kind == kind, DraftRow.object_id == object_id, DraftRow.person_id == person)
    return tx.scalars(select(DraftRow).where(DraftRow.tenant_id == tenant, *mine)).one_or_none()


def get_draft(tx: Transaction, tenant: int, draft: int) -> DraftRow | None:
    """One draft by its id."""
    return tx.get(DraftRow, (tenant, draft))


def drafts_of(tx: Transaction, tenant: int, kind: str, object_id: int | None = None) -> Sequence[DraftRow]:
    """Everybody's drafts of a kind, or of one object; the latest first."""
    query = select(DraftRow).where(DraftRow.tenant_id == tenant, DraftRow.kind == kind)
    if object_id is not None:
        query = query.where(DraftRow.object_id == object_id)
    return tx.scalars(query.order_by(DraftRow.saved_at.desc(), DraftRow.id.desc())).all()


def insert_draft(tx: Transaction, tenant: int, **values: Any) -> int:
    """A new draft; returns its id. Raises IntegrityError if the person has one of this object."""
    made = new_id()
    tx.execute(insert(DraftRow).values(tenant_id=tenant, id=made, **values))
    return made


def update_draft(tx: Transaction, tenant: int, draft: int, seen: int, **values: Any) -> bool:
    """Write a draft's next edition over the edition `seen`; False if there is a newer one."""
    mine = (DraftRow.tenant_id == tenant, DraftRow.id == draft, DraftRow.edition == seen)
    changed = tx.execute(update(DraftRow).where(*mine).values(edition=seen + 1, **values).returning(DraftRow.id)).all()
    return bool(changed)


def delete_draft(tx: Transaction, tenant: int, draft: int) -> None:
    """Forget a draft."""
    tx.execute(delete(DraftRow).where(DraftRow.tenant_id == tenant, DraftRow.id == draft))
