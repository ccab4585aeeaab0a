"""People who sign in."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id


class Person(TenantRow, Base):
    """A person of one tenant."""

    __tablename__ = "person"
    __table_args__ = (
        UniqueConstraint("tenant_id", "email"),
        Index("ix_person_email", "email"),
    )
    email: Mapped[str] = mapped_column(String(320))
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(10))
    password_hash: Mapped[str] = mapped_column(String(300), info={"secret": True})
    language: Mapped[str | None] = mapped_column(String(8))  # a key of LANGUAGES; None: as the browser asks, in mails as the tenant says
    one_time: Mapped[bool] = mapped_column(default=False)  # must be replaced at the first sign-in
    created_at: Mapped[int]
    disabled_at: Mapped[int | None]


def add_person(tx: Transaction, tenant: int, email: str, name: str, role: str, password_hash: str, now: int, *, one_time: bool) -> int:
    """A new person; returns the id."""
    person = new_id()
    tx.execute(
        insert(Person).values(
            tenant_id=tenant,
            id=person,
            email=email.lower(),
            name=name,
            role=role,
            password_hash=password_hash,
            one_time=one_time,
            created_at=now,
        )
    )
    return person


def people_named(tx: Transaction, email: str) -> Sequence[Person]:
    """Everybody who signs in as `email`, one a tenant; one of the three doors that discover the tenant."""
    return tx.scalars(select(Person).where(Person.email == email.lower(), Person.disabled_at.is_(None)).order_by(Person.tenant_id)).all()


def find_person(tx: Transaction, tenant: int, email: str) -> Person | None:
    """The person of a tenant who signs in as `email`."""
    return tx.scalar(select(Person).where(Person.tenant_id == tenant, Person.email == email.lower()))


def get_person(tx: Transaction, tenant: int, person: int) -> Person | None:
    """One person."""
    return tx.get(Person, (tenant, person))


def lock_person(tx: Transaction, tenant: int, person: int) -> Person | None:
    """One person, whom nobody else changes until the transaction ends."""
    query = select(Person).where(Person.tenant_id == tenant, Person.id == person)
    return tx.scalar(query.with_for_update() if tx.is_postgres else query)


def set_password(tx: Transaction, tenant: int, person: int, password_hash: str, *, one_time: bool) -> None:
    """Replace a password."""
    tx.execute(update(Person).where(Person.tenant_id == tenant, Person.id == person).values(password_hash=password_hash, one_time=one_time))


def change_person(tx: Transaction, tenant: int, person: int, **values: Any) -> None:
    """Set columns of a person."""
    tx.execute(update(Person).where(Person.tenant_id == tenant, Person.id == person).values(**values))


def list_people(tx: Transaction, tenant: int) -> Sequence[Person]:
    """Everybody of a tenant by name; the disabled last."""
    return tx.scalars(select(Person).where(Person.tenant_id == tenant).order_by(Person.disabled_at.is_not(None), Person.name, Person.id)).all()


def lock_admins(tx: Transaction, tenant: int) -> list[int]:
    """The admins who may sign in, locked in id order."""
    query = select(Person.id).where(Person.tenant_id == tenant, Person.role == "admin", Person.disabled_at.is_(None)).order_by(Person.id)
    return list(tx.scalars(query.with_for_update() if tx.is_postgres else query))
