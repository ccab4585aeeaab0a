"""What a search finds: tickets by number or words, and what is set up here by name. Read only; each group is a few rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import or_, select

from sla_plugin.reports.ticket_list import list_tickets, search_tickets
from sla_plugin.store.connections import Connection
from sla_plugin.store.db import Transaction
from sla_plugin.store.people import Person
from sla_plugin.store.policies import Calendar, Policy
from sla_plugin.store.tickets import Ticket

FEW = 5  # rows of a group that are shown


def tickets_numbered(tx: Transaction, tenant: int, number: str) -> Sequence[Ticket]:
    """Tickets with exactly that number in their helpdesk: one a connection."""
    return tx.scalars(select(Ticket).where(Ticket.tenant_id == tenant, Ticket.external_id == number).order_by(Ticket.id).limit(FEW)).all()


def tickets_about(tx: Transaction, tenant: int, text: str) -> Sequence[Any]:
    """Tickets with the words of a text in number, subject or customer, the tightest deadline first; one more than FEW says that there are more."""
    return [row.Ticket for row in list_tickets(tx, tenant, found=search_tickets(tx, tenant, text), limit=FEW + 1).rows]


def connections_named(tx: Transaction, tenant: int, text: str) -> Sequence[Connection]:
    """Connections with a text in their name."""
    return tx.scalars(select(Connection).where(Connection.tenant_id == tenant, _holds(Connection.name, text)).order_by(Connection.name).limit(FEW)).all()


def policies_named(tx: Transaction, tenant: int, text: str) -> Sequence[Policy]:
    """Policies with a text in their name."""
    return tx.scalars(select(Policy).where(Policy.tenant_id == tenant, _holds(Policy.name, text)).order_by(Policy.name).limit(FEW)).all()


def calendars_named(tx: Transaction, tenant: int, text: str) -> Sequence[Calendar]:
    """Calendars with a text in their name."""
    return tx.scalars(select(Calendar).where(Calendar.tenant_id == tenant, _holds(Calendar.name, text)).order_by(Calendar.name).limit(FEW)).all()


def people_named(tx: Transaction, tenant: int, text: str) -> Sequence[Person]:
    """People with a text in name or address."""
    holds = or_(_holds(Person.name, text), _holds(Person.email, text))
    return tx.scalars(select(Person).where(Person.tenant_id == tenant, holds).order_by(Person.name, Person.id).limit(FEW)).all()


def _holds(column: Any, text: str) -> Any:
    return column.icontains(text, autoescape=True)
