"""What customers' programs see: the tickets that whom the token acts for asked for, with what was promised. Nothing else, and no internals."""

from typing import Any

from marshmallow import fields
from sqlalchemy import select

from sla_plugin.reports.listing import list_rows
from sla_plugin.reports.own_tickets import own_ticket
from sla_plugin.reports.ticket_list import clocks_of_tickets
from sla_plugin.services.request_escalation import METRIC, request_escalation
from sla_plugin.store.alerts import alerts_of
from sla_plugin.store.db import Transaction
from sla_plugin.store.people import get_person
from sla_plugin.store.requesters import asked_by
from sla_plugin.store.tickets import Ticket
from sla_plugin.web.access import needs
from sla_plugin.web.api.clocks import PromisedClockSchema, standing_clocks
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import LongListQuery, Sort, after_of, long_page, page_schema, sort_keys
from sla_plugin.web.api.problems import Problem
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Instant, Shape
from sla_plugin.web.api.tickets import ReasonSchema, RequestedSchema
from sla_plugin.web.api.writing import begin
from sla_plugin.web.runtime import Runtime

_TICKET = "/portal/tickets/<id:ticket_id>"
ORDERS = {"updated": Ticket.updated_at}


class OwnTicketSchema(Shape):
    """A ticket as whoever asked for it sees it."""

    id = Id(required=True)
    external_id = fields.String(required=True, metadata={"description": "Its number in the helpdesk."})
    subject = fields.String(required=True)
    status = fields.String(required=True)
    status_word = fields.String(required=True, allow_none=True)
    priority = fields.String(required=True)
    priority_word = fields.String(required=True, allow_none=True)
    assignee = fields.String(required=True, allow_none=True)
    gone = fields.String(required=True, allow_none=True, metadata={"description": "Merged or deleted."})
    created_at = Instant(required=True, allow_none=True)
    updated_at = Instant(required=True)
    promises = fields.List(fields.Nested(PromisedClockSchema), required=True, metadata={"description": "What was promised, and how it stands."})


class RequestSchema(Shape):
    """A request to escalate."""

    number = fields.Integer(required=True)
    asked_at = Instant(required=True)
    taken_at = Instant(required=True, allow_none=True, metadata={"description": "When an agent took it; None: it waits."})


class OwnTicketWholeSchema(OwnTicketSchema):
    """A ticket with what was asked about it."""

    requests = fields.List(fields.Nested(RequestSchema), required=True)


class OwnTicketQuery(LongListQuery):
    """Parameters of one's own tickets."""

    sort = Sort(ORDERS, load_default=[("updated", True)])


def resource(runtime: Runtime) -> Resource:
    """`/portal/tickets`."""
    api = Resource("portal", "For customers: the tickets they asked for, with what was promised.")

    @api.get("/portal/tickets")
    @needs("portal.read")
    @api.query(OwnTicketQuery)
    @api.gives(page_schema(OwnTicketSchema))
    def list_own_tickets(query: dict[str, Any]) -> dict[str, Any]:
        """One's own tickets, the last changed first."""
        tenant, keys = caller().tenant, sort_keys(query, ORDERS, Ticket.id)
        with runtime.database.reading(tenant) as tx:
            own = select(Ticket).where(asked_by(tx, tenant, caller().actor.person, _email(tx)))
            found = list_rows(tx, own, keys, limit=query["limit"], page=query["page"], after=after_of(query, keys))
            clocks = standing_clocks(tx, tenant, clocks_of_tickets(tx, tenant, [row.Ticket.id for row in found.rows]), caller().now)
        return long_page(found, query, keys, lambda row: _data(row.Ticket, clocks.get(row.Ticket.id, [])))

    @api.get(_TICKET)
    @needs("portal.read")
    @api.gives(OwnTicketWholeSchema)
    def show_own_ticket(ticket_id: int) -> dict[str, Any]:
        """One of one's own tickets."""
        tenant = caller().tenant
        with runtime.database.reading(tenant) as tx:
            ticket = _own(tx, ticket_id)
            clocks = standing_clocks(tx, tenant, clocks_of_tickets(tx, tenant, [ticket.id]), caller().now)
            asked = [alert for alert in alerts_of(tx, tenant, ticket.promise_id) if alert.metric == METRIC]
        requests = [{"number": one.cycle, "asked_at": one.raised_at, "taken_at": one.acknowledged_at} for one in asked]
        return {**_data(ticket, clocks.get(ticket.id, [])), "requests": requests}

    @api.post(f"{_TICKET}/escalate")
    @needs("portal.escalate")
    @api.body(ReasonSchema)
    @api.gives(RequestedSchema, 201)
    def ask_to_escalate_own_ticket(told: dict[str, Any], ticket_id: int) -> dict[str, int]:
        """Ask to escalate one of one's own tickets. One request waits at a time."""
        tx = begin(runtime)
        return {"number": request_escalation(tx, caller().tenant, _own(tx, ticket_id), told["reason"], caller().now, caller().actor)}

    return api


def _email(tx: Transaction) -> str:
    person = get_person(tx, caller().tenant, caller().actor.person)
    assert person is not None
    return person.email


def _own(tx: Transaction, ticket: int) -> Ticket:
    found = own_ticket(tx, caller().tenant, caller().actor.person, _email(tx), ticket)
    if found is None:
        raise Problem("not-found", "There is no such ticket of yours.")
    return found


def _data(ticket: Ticket, clocks: list[dict[str, Any]]) -> dict[str, Any]:
    return {**{name: getattr(ticket, name) for name in OwnTicketSchema._declared_fields if name != "promises"}, "promises": clocks}
