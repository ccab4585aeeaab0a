"""Erasures: whose name was taken out under which pseudonym, how far that is, and digests by which the name is known again should it come back."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import String, Text, UniqueConstraint, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import upsert_rows
from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.tenants import Tenant
from sla_plugin.store.tickets import Ticket


class Erasure(TenantRow, Base):
    """One erasure. `sealed_about` says about whom (JSON) while it is under way, and is empty once it is finished; `place` is where to go on."""

    __tablename__ = "erasure"
    __table_args__ = (UniqueConstraint("tenant_id", "pseudonym"),)
    pseudonym: Mapped[str] = mapped_column(String(60))
    asked_at: Mapped[int]
    asked_by: Mapped[str] = mapped_column(String(200))
    sealed_about: Mapped[str | None] = mapped_column(Text, info={"sealed": True})
    place: Mapped[dict[str, Any]]
    counts: Mapped[dict[str, Any]]
    finished_at: Mapped[int | None]


class ErasedName(Base):
    """The digest of a name that was erased, salted with the tenant's sealed salt."""

    __tablename__ = "erased_name"
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(60))


def add_erasure(tx: Transaction, tenant: int, pseudonym: str, now: int, actor: str, sealed_about: str) -> int:
    """A new erasure; returns its id."""
    erasure = new_id()
    values = {"pseudonym": pseudonym, "asked_at": now, "asked_by": actor[:200], "sealed_about": sealed_about, "place": {}, "counts": {}}
    tx.execute(insert(Erasure).values(tenant_id=tenant, id=erasure, **values))
    return erasure


def get_erasure(tx: Transaction, tenant: int, erasure: int) -> Erasure | None:
    """One erasure."""
    return tx.scalar(select(Erasure).where(Erasure.tenant_id == tenant, Erasure.id == erasure))


def lock_erasure(tx: Transaction, tenant: int, erasure: int) -> Erasure | None:
    """One erasure that is not finished, locked."""
    query = select(Erasure).where(Erasure.tenant_id == tenant, Erasure.id == erasure, Erasure.finished_at.is_(None))
    return tx.scalar(query.with_for_update() if tx.is_postgres else query)


def note_erasure(tx: Transaction, tenant: int, erasure: int, **values: Any) -> None:
    """Set columns of an erasure."""
    tx.execute(update(Erasure).where(Erasure.tenant_id == tenant, Erasure.id == erasure).values(**values))


def list_erasures(tx: Transaction, tenant: int, limit: int = 100) -> Sequence[Erasure]:
    """Erasures, the latest first."""
    return tx.scalars(select(Erasure).where(Erasure.tenant_id == tenant).order_by(Erasure.id.desc()).limit(limit)).all()


def next_erasure(tx: Transaction) -> tuple[int, int] | None:
    """(tenant, erasure) of the oldest one that is not finished."""
    row = tx.execute(select(Erasure.tenant_id, Erasure.id).where(Erasure.finished_at.is_(None)).order_by(Erasure.id).limit(1)).first()
    return (row.tenant_id, row.id) if row is not None else None


def erased_as(tx: Transaction, tenant: int, pseudonyms: Sequence[str]) -> dict[str, int]:
    """Pseudonym -> when it took the place of a name."""
    query = select(Erasure.pseudonym, Erasure.asked_at).where(Erasure.tenant_id == tenant, Erasure.pseudonym.in_(list(pseudonyms)))
    return {row.pseudonym: row.asked_at for row in tx.execute(query)}


def is_taken(tx: Transaction, tenant: int, pseudonym: str) -> bool:
    """Whether somebody is called so already."""
    return tx.scalar(select(func.count()).select_from(Erasure).where(Erasure.tenant_id == tenant, Erasure.pseudonym == pseudonym)) != 0


def add_names(tx: Transaction, tenant: int, digests: Mapping[str, str]) -> None:
    """Remember names by digest -> pseudonym."""
    rows = [{"tenant_id": tenant, "digest": digest, "pseudonym": pseudonym} for digest, pseudonym in digests.items()]
    upsert_rows(tx, ErasedName.metadata.tables["erased_name"], rows, key=("tenant_id", "digest"), change=("pseudonym",))


def erased_names(tx: Transaction, tenant: int) -> tuple[dict[str, str], str | None]:
    """Digest -> pseudonym of everybody erased, and the sealed salt: one small question of every batch of deliveries."""
    names = select(ErasedName.digest, ErasedName.pseudonym, Tenant.sealed_salt).join(Tenant, Tenant.id == ErasedName.tenant_id)
    rows = tx.execute(names.where(ErasedName.tenant_id == tenant)).all()
    return {row.digest: row.pseudonym for row in rows}, rows[0].sealed_salt if rows else None


def forget_names(tx: Transaction, tenant: int, digests: Sequence[str]) -> int:
    """Forget names: should they come again, they are kept as they come. Returns how many were known."""
    return tx.change(delete(ErasedName).where(ErasedName.tenant_id == tenant, ErasedName.digest.in_(list(digests))))


def keep_salt(tx: Transaction, tenant: int, sealed: str) -> str:
    """The tenant's sealed salt: the one it has, else this one from now on."""
    tx.execute(update(Tenant).where(Tenant.id == tenant, Tenant.sealed_salt.is_(None)).values(sealed_salt=sealed))
    return tx.scalars(select(Tenant.sealed_salt).where(Tenant.id == tenant)).one() or sealed


def tickets_asked_as(tx: Transaction, tenant: int, tickets: Sequence[int], pseudonyms: Sequence[str]) -> set[int]:
    """Which of some tickets were asked for by somebody erased."""
    query = select(Ticket.id).where(Ticket.tenant_id == tenant, Ticket.id.in_(list(tickets)), Ticket.requester.in_(list(pseudonyms)))
    return set(tx.scalars(query))
