"""Requesters: under which names helpdesks know a person. What they asked for under these names is theirs to see."""

from sqlalchemy import ColumnElement, Index, String, UniqueConstraint, and_, insert, or_, select
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import Ticket


class Requester(TenantRow, Base):
    """A person is the requester `external_id` of a connection (a helpdesk's user id, or a mail address where it names people by that)."""

    __tablename__ = "requester"
    __table_args__ = (UniqueConstraint("tenant_id", "connection_id", "external_id"), Index("ix_requester_person", "tenant_id", "person_id"))
    person_id: Mapped[int]
    connection_id: Mapped[int]
    external_id: Mapped[str] = mapped_column(String(200))


def bind_requester(tx: Transaction, tenant: int, person: int, connection: int, external: str) -> int | None:
    """Say that a person is a requester of a connection; None if somebody is already."""
    taken = select(Requester.id).where(Requester.tenant_id == tenant, Requester.connection_id == connection, Requester.external_id == external)
    if tx.scalar(taken) is not None:
        return None
    requester = new_id()
    tx.execute(insert(Requester).values(tenant_id=tenant, id=requester, person_id=person, connection_id=connection, external_id=external))
    return requester


def unbind_requester(tx: Transaction, tenant: int, requester: int) -> Requester | None:
    """Take a binding back; returns what it was, None if there is none."""
    found = tx.get(Requester, (tenant, requester))
    if found is not None:
        tx.delete(found)
        tx.flush()
    return found


def requesters_of(tx: Transaction, tenant: int, person: int) -> list[Requester]:
    """The names of a person in helpdesks."""
    return list(tx.scalars(select(Requester).where(Requester.tenant_id == tenant, Requester.person_id == person).order_by(Requester.id)))


def asked_by(tx: Transaction, tenant: int, person: int, email: str) -> ColumnElement[bool]:
    """The condition on tickets that a person asked for: the requester is their mail address (written in small letters), or a name bound to them."""
    bound = [and_(Ticket.connection_id == r.connection_id, Ticket.requester == r.external_id) for r in requesters_of(tx, tenant, person)]
    return and_(Ticket.tenant_id == tenant, or_(Ticket.requester == email, *bound))
