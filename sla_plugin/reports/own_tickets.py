"""What a customer sees: the tickets they asked for, nothing else."""

from sqlalchemy import and_, or_, select

from sla_plugin.reports.lists import PAGE, Page
from sla_plugin.store.db import Transaction
from sla_plugin.store.requesters import asked_by
from sla_plugin.store.tickets import Ticket


def own_tickets(tx: Transaction, tenant: int, person: int, email: str, after: tuple[int, int] | None = None) -> Page:
    """A person's own tickets, the last changed first."""
    query = select(Ticket).where(asked_by(tx, tenant, person, email))
    if after is not None:
        query = query.where(or_(Ticket.updated_at < after[0], and_(Ticket.updated_at == after[0], Ticket.id < after[1])))
    rows = tx.scalars(query.order_by(Ticket.updated_at.desc(), Ticket.id.desc()).limit(PAGE + 1)).all()
    return Page(rows[:PAGE], (rows[PAGE - 1].updated_at, rows[PAGE - 1].id) if len(rows) > PAGE else None)


def own_ticket(tx: Transaction, tenant: int, person: int, email: str, ticket: int) -> Ticket | None:
    """One ticket, if the person asked for it."""
    return tx.scalar(select(Ticket).where(asked_by(tx, tenant, person, email), Ticket.id == ticket))
