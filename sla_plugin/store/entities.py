"""Entities: the brands inside a tenant. A connection may serve one; its tickets are that brand's."""

from collections.abc import Sequence

from sqlalchemy import String, UniqueConstraint, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id


class Entity(TenantRow, Base):
    """A brand."""

    __tablename__ = "entity"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int]


def add_entity(tx: Transaction, tenant: int, name: str, now: int) -> int:
    """A new brand; returns its id."""
    entity = new_id()
    tx.execute(insert(Entity).values(tenant_id=tenant, id=entity, name=name, created_at=now))
    return entity


def find_entity(tx: Transaction, tenant: int, name: str) -> Entity | None:
    """The brand called `name`."""
    return tx.scalar(select(Entity).where(Entity.tenant_id == tenant, Entity.name == name))


def list_entities(tx: Transaction, tenant: int) -> Sequence[Entity]:
    """All brands of a tenant by name."""
    return tx.scalars(select(Entity).where(Entity.tenant_id == tenant).order_by(Entity.name)).all()
