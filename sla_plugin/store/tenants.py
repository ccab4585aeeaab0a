"""Tenants: the companies that share an installation."""

from sqlalchemy import String, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.audit import AuditHead
from sla_plugin.store.db import Base, Transaction
from sla_plugin.store.ids import new_id


class Tenant(Base):
    """A tenant; `book_revision` grows with every change of its policies or calendars."""

    __tablename__ = "tenant"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC")
    book_revision: Mapped[int] = mapped_column(default=0)
    strict: Mapped[bool] = mapped_column(default=False)  # nobody overrides a policy or a deadline by hand
    created_at: Mapped[int]


def add_tenant(tx: Transaction, name: str, now: int, time_zone: str = "UTC") -> int:
    """A new tenant; returns its id. The transaction (of Duty.TENANTS) is the new tenant's from here on."""
    tenant = new_id()
    tx.execute(insert(Tenant).values(id=tenant, name=name, time_zone=time_zone, book_revision=0, created_at=now))
    tx.narrow(tenant)
    tx.execute(insert(AuditHead).values(tenant_id=tenant, number=0, chain=""))
    return tenant


def the_tenant(tx: Transaction, name: str | None = None) -> int | None:
    """The id of the tenant called `name`; without a name that of the oldest one. None if there is none."""
    query = select(Tenant.id).order_by(Tenant.id).limit(1)
    if name is not None:
        query = query.where(Tenant.name == name)
    return tx.scalar(query)


def list_tenants(tx: Transaction) -> list[tuple[int, str]]:
    """(id, name) of every tenant, the oldest first."""
    return [(row.id, row.name) for row in tx.execute(select(Tenant.id, Tenant.name).order_by(Tenant.id))]


def tenant_name(tx: Transaction, tenant: int) -> str:
    """The tenant's name."""
    return tx.scalars(select(Tenant.name).where(Tenant.id == tenant)).one()


def get_tenant(tx: Transaction, tenant: int) -> Tenant:
    """The tenant's row."""
    return tx.scalars(select(Tenant).where(Tenant.id == tenant)).one()


def change_tenant(tx: Transaction, tenant: int, **values: str) -> None:
    """Set columns of a tenant. Raises IntegrityError for a name that another tenant has."""
    tx.execute(update(Tenant).where(Tenant.id == tenant).values(**values))


def book_revision(tx: Transaction, tenant: int) -> int:
    """The current revision of the tenant's policies and calendars."""
    return tx.scalars(select(Tenant.book_revision).where(Tenant.id == tenant)).one()


def is_strict(tx: Transaction, tenant: int) -> bool:
    """Whether the tenant's strict mode is on."""
    return tx.scalars(select(Tenant.strict).where(Tenant.id == tenant)).one()


def set_strict(tx: Transaction, tenant: int, strict: bool) -> None:
    """Turn strict mode on or off."""
    tx.execute(update(Tenant).where(Tenant.id == tenant).values(strict=strict))


def lock_books(tx: Transaction, tenant: int) -> None:
    """Queue with the writers of policies and calendars of one tenant; whoever was before us has committed. (On SQLite the write turn is that already.)"""
    if tx.is_postgres:
        tx.execute(select(Tenant.id).where(Tenant.id == tenant).with_for_update())


def next_book_revision(tx: Transaction, tenant: int) -> int:
    """Take the next revision; writers of policies and calendars of one tenant queue on this row."""
    tx.execute(update(Tenant).where(Tenant.id == tenant).values(book_revision=Tenant.book_revision + 1))
    return book_revision(tx, tenant)


def tenant_ids(tx: Transaction) -> list[int]:
    """Every tenant (the timekeeper serves them all)."""
    return list(tx.scalars(select(Tenant.id)))
