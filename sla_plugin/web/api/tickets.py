"""Tickets: the mirror of the helpdesk's, with their clocks, their history, and what somebody asks or decides about them."""

from typing import Any

from marshmallow import fields

from sla_plugin.reports.event_list import LISTING as EVENTS
from sla_plugin.reports.event_list import count_events, list_events
from sla_plugin.reports.ticket_list import LISTING, clocks_of_tickets, count_tickets, list_tickets, search_tickets
from sla_plugin.services.request_escalation import LONGEST, request_escalation
from sla_plugin.store.db import Transaction
from sla_plugin.store.tickets import ON_HOLD, STANDINGS, Ticket, get_promise, get_ticket
from sla_plugin.web.access import needs
from sla_plugin.web.api.clocks import ClockSchema, standing_clocks
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import LongListQuery, filters_of, page_schema, sorts_of, walk, walked_page
from sla_plugin.web.api.problems import Problem
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Instant, Shape, Text, Word
from sla_plugin.web.api.writing import begin
from sla_plugin.web.looks import note_look
from sla_plugin.web.runtime import Runtime

TICKET = "/support/tickets/<id:ticket_id>"


class ListedTicketSchema(Shape):
    """A ticket as lists have it. Words are ours in `status` and `priority`, the helpdesk's in `status_word` and `priority_word`."""

    id = Id(required=True)
    connection_id = Id(required=True)
    external_id = fields.String(required=True, metadata={"description": "Its number in the helpdesk."})
    subject = fields.String(required=True)
    status = fields.String(required=True)
    status_word = fields.String(required=True, allow_none=True)
    priority = fields.String(required=True)
    priority_word = fields.String(required=True, allow_none=True)
    assignee = fields.String(required=True, allow_none=True)
    requester = fields.String(required=True, allow_none=True)
    organization = fields.String(required=True, allow_none=True)
    gone = fields.String(required=True, allow_none=True, metadata={"description": "Merged or deleted."})
    created_at = Instant(required=True, allow_none=True)
    updated_at = Instant(required=True)
    standing = fields.String(
        required=True, allow_none=True, metadata={"enum": [*STANDINGS, None], "description": "The gravest state of its clocks that tick; `done` without one."}
    )
    due_at = Instant(required=True, allow_none=True, metadata={"description": "Its tightest deadline, by which the list is sorted."})
    clocks = fields.List(fields.Nested(ClockSchema), required=True, metadata={"description": "Those that tick first, the tightest before the others."})


class TicketSchema(ListedTicketSchema):
    """One ticket, whole."""

    type = fields.String(required=True, allow_none=True)
    category = fields.String(required=True, allow_none=True)
    channel = fields.String(required=True, allow_none=True)
    team = fields.String(required=True, allow_none=True)
    link = fields.String(required=True, allow_none=True)
    tags = fields.List(fields.Raw(), required=True)
    fields_ = fields.Dict(required=True, attribute="fields", data_key="fields", metadata={"description": "Fields of the helpdesk that have no name here."})
    policy_id = Id(required=True, allow_none=True, metadata={"description": "The policy it is under; None where none promises anything."})
    importing = fields.Boolean(required=True, metadata={"description": "Its past is being imported: what it says is not complete yet."})


class TicketQuery(LongListQuery):
    """Parameters of the list of tickets."""

    standing = Word(("open", *STANDINGS, "all"), load_default="open", metadata={"description": "The gravest state of a ticket's clocks; open: all but done."})
    connection = Id()
    priority = Word(LISTING.filters["priority"].words)
    assignee = Text(200)
    organization = Text(200)
    q = Text(200, metadata={"description": "Words of number, subject and organization; the last may be a beginning."})
    sort = sorts_of(LISTING)


class EventSchema(Shape):
    """Something that happened to a ticket."""

    id = Id(required=True)
    kind = fields.String(required=True)
    occurred_at = Instant(required=True)
    said_at = Instant(required=True, allow_none=True, metadata={"description": "What the helpdesk said, where that could not be."})
    received_at = Instant(required=True)
    actor_id = fields.String(required=True, allow_none=True)
    actor_role = fields.String(required=True)
    public = fields.Boolean(required=True, allow_none=True)
    own = fields.Boolean(required=True, metadata={"description": "The echo of a write of ours."})
    delivery_id = Id(required=True, allow_none=True)
    data = fields.Dict(required=True)


class HistoryQuery(LongListQuery):
    """Parameters of a ticket's history."""

    who = Word(EVENTS.filters["who"].words, metadata={"description": "Whose events; `ours`: echoes of what we wrote."})
    sort = sorts_of(EVENTS)


class ReasonSchema(Shape):
    """Why something cannot wait."""

    reason = Text(LONGEST, required=True, metadata={"description": "The agents read it."})


class RequestedSchema(Shape):
    """A request to escalate that agents are alerted of."""

    number = fields.Integer(required=True, metadata={"description": "Of the requests of this ticket."})


def resource(runtime: Runtime) -> Resource:
    """`/support/tickets`."""
    api = Resource("tickets", "The tickets of helpdesks, as we have them, with their clocks.")

    @api.get("/support/tickets")
    @needs("tickets.read")
    @api.query(TicketQuery)
    @api.gives(page_schema(ListedTicketSchema))
    def list_all_tickets(query: dict[str, Any]) -> dict[str, Any]:
        """Tickets by their tightest deadline."""
        filters = filters_of(query, "connection", "priority", "assignee")
        filters |= {"customer": query["organization"]} if "organization" in query else {}
        tab, tenant = "" if query["standing"] == "open" else query["standing"], caller().tenant
        with runtime.database.reading(tenant) as tx:
            found = search_tickets(tx, tenant, query.get("q", ""))
            page = walk(
                LISTING,
                query,
                lambda after, limit: list_tickets(tx, tenant, tab=tab, filters=filters, found=found, sort=query["sort"], after=after, limit=limit),
            )
            count = count_tickets(tx, tenant, filters=filters, found=found, tabs=(tab,))[tab]
            clocks = standing_clocks(tx, tenant, clocks_of_tickets(tx, tenant, [row.Ticket.id for row in page.rows]), caller().now)
        return walked_page(LISTING, query, page, count, [listed_ticket(row.Ticket, clocks.get(row.Ticket.id, [])) for row in page.rows])

    @api.get(TICKET)
    @needs("tickets.read")
    @api.gives(TicketSchema)
    def show_ticket(ticket_id: int) -> dict[str, Any]:
        """One ticket, and how its clocks stand."""
        tenant = caller().tenant
        with runtime.database.reading(tenant) as tx:
            ticket = the_ticket(tx, ticket_id)
            promise = get_promise(tx, tenant, ticket.promise_id)
            clocks = standing_clocks(tx, tenant, clocks_of_tickets(tx, tenant, [ticket.id]), caller().now).get(ticket.id, [])
        note_look("ticket", ticket_id)
        whole = {name: getattr(ticket, name) for name in ("type", "category", "channel", "team", "link", "tags", "fields")}
        under = {"policy_id": promise and promise.policy_id, "importing": promise is not None and promise.history}
        return {**listed_ticket(ticket, clocks), **whole, **under}

    @api.get(f"{TICKET}/history")
    @needs("tickets.read")
    @api.query(HistoryQuery)
    @api.gives(page_schema(EventSchema))
    def list_history(query: dict[str, Any], ticket_id: int) -> dict[str, Any]:
        """What happened to a ticket, the latest first."""
        tenant, filters = caller().tenant, filters_of(query, "who")
        with runtime.database.reading(tenant) as tx:
            promise = the_ticket(tx, ticket_id).promise_id
            page = walk(EVENTS, query, lambda after, limit: list_events(tx, tenant, promise, filters=filters, sort=query["sort"], after=after, limit=limit))
            count = count_events(tx, tenant, promise, filters)
        note_look("ticket", ticket_id)
        return walked_page(EVENTS, query, page, count, page.rows)

    @api.post(f"{TICKET}/escalate")
    @needs("tickets.escalate")
    @api.body(ReasonSchema)
    @api.gives(RequestedSchema, 201)
    def ask_to_escalate(told: dict[str, Any], ticket_id: int) -> dict[str, int]:
        """Ask to escalate. One request waits at a time."""
        tx = begin(runtime)
        return {"number": request_escalation(tx, caller().tenant, the_ticket(tx, ticket_id), told["reason"], caller().now, caller().actor)}

    return api


def the_ticket(tx: Transaction, ticket: int) -> Ticket:
    """The ticket of the caller's tenant. Raises Problem where there is none."""
    found = get_ticket(tx, caller().tenant, ticket)
    if found is None:
        raise Problem("not-found", "There is no such ticket here.")
    return found


_LISTED = ("id", "connection_id", "external_id", "subject", "status", "status_word", "priority", "priority_word", "assignee", "requester", "organization")


def listed_ticket(ticket: Any, clocks: list[dict[str, Any]]) -> dict[str, Any]:
    """A ticket with its clocks as they stand, as lists answer it."""
    told = {name: getattr(ticket, name) for name in (*_LISTED, "gone", "created_at", "updated_at", "standing")}
    due = ticket.place if ticket.place is not None and ticket.place < ON_HOLD and ticket.standing != "done" else None
    return {**told, "due_at": due, "clocks": clocks}
