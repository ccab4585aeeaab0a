"""Alerts: what needs a person now, and taking it."""

from typing import Any

from marshmallow import fields

from sla_plugin.reports.alert_list import LISTING, count_alerts, count_tab, list_alerts, with_tickets
from sla_plugin.reports.lists import Count
from sla_plugin.reports.standing import index_terms, standing, terms_of
from sla_plugin.reports.ticket_list import LISTING as TICKETS
from sla_plugin.reports.ticket_list import clocks_of_tickets, count_tickets, list_tickets
from sla_plugin.services.acknowledge_alert import LONGEST, acknowledge_alert, give_back_alert
from sla_plugin.services.read_books import read_books
from sla_plugin.store.alerts import LEVELS, Alert, alerts_of, get_alert
from sla_plugin.store.db import Transaction
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import ListQuery, LongListQuery, filters_of, page_schema, short_page, sorts_of, walk, walked_page
from sla_plugin.web.api.problems import Problem
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Instant, Seconds, Shape, Text, Word
from sla_plugin.web.api.tickets import TICKET, the_ticket
from sla_plugin.web.api.writing import begin
from sla_plugin.web.runtime import Runtime

STATES = ("open", "acknowledged", "resolved")
_ALERT = "/sla/breach-alerts/<id:alert_id>"


class AlertSchema(Shape):
    """That a clock has passed a level, or that somebody asks to escalate. Lists have one for each clock and cycle: its highest level."""

    id = Id(required=True)
    ticket_id = Id(required=True)
    connection_id = Id(required=True)
    external_id = fields.String(required=True, metadata={"description": "The ticket's number in the helpdesk."})
    subject = fields.String(required=True)
    organization = fields.String(required=True, allow_none=True)
    metric = fields.String(required=True)
    cycle = fields.Integer(required=True)
    level = fields.String(required=True, metadata={"enum": list(LEVELS)})
    state = fields.String(required=True, metadata={"enum": list(STATES)})
    due_at = Instant(required=True, metadata={"description": "When the level was passed."})
    raised_at = Instant(required=True, metadata={"description": "When we knew, and said so."})
    acknowledged_at = Instant(required=True, allow_none=True)
    acknowledged_by = fields.String(required=True, allow_none=True)
    note = fields.String(required=True, allow_none=True)
    resolved_at = Instant(required=True, allow_none=True, metadata={"description": "When the clock stopped: nobody has to do anything any more."})


class HeadSchema(Shape):
    """What is not over, whatever the list is narrowed by. Counting ends at 10,000."""

    total = fields.Integer(required=True, metadata={"description": "Open and acknowledged ones."})
    critical = fields.Integer(required=True)
    warning = fields.Integer(required=True)
    breach = fields.Integer(required=True)
    requested = fields.Integer(required=True, metadata={"description": "Somebody asks to escalate."})
    active = fields.Integer(required=True, metadata={"description": "Those that nobody has taken."})


class AlertListSchema(page_schema(AlertSchema)):  # type: ignore[misc]  # made above, as every page is
    """Alerts of a state, with how many of each level there are."""

    counts = fields.Nested(HeadSchema, required=True)


class AlertQuery(LongListQuery):
    """Parameters of the list of alerts."""

    state = Word(STATES, load_default="open", metadata={"description": "open: nobody has taken it; resolved: it is over."})
    level = Word(LEVELS)
    metric = Text(40)
    sort = sorts_of(LISTING)


class NoteSchema(Shape):
    """What somebody says who takes an alert."""

    note = Text(LONGEST, least=0, load_default="", metadata={"description": "What you do about it; it stands beside the alert."})


class BreachSchema(Shape):
    """A clock that is breached and has not stopped."""

    ticket_id = Id(required=True)
    connection_id = Id(required=True)
    external_id = fields.String(required=True)
    subject = fields.String(required=True)
    organization = fields.String(required=True, allow_none=True)
    assignee = fields.String(required=True, allow_none=True)
    priority = fields.String(required=True)
    metric = fields.String(required=True)
    cycle = fields.Integer(required=True)
    breached_at = Instant(required=True)
    over = Seconds(required=True, allow_none=True, metadata={"description": "Seconds beyond the target, as they count."})


class BreachesSchema(Shape):
    """Clocks that are breached now, by ticket."""

    breaches = fields.List(fields.Nested(BreachSchema), required=True)
    count = fields.Integer(required=True, metadata={"description": "Tickets with such a clock; counting ends at 10,000."})
    count_is_capped = fields.Boolean(required=True)
    next = fields.String(required=True, allow_none=True, metadata={"description": "The next page; None on the last."})


class BreachQuery(LongListQuery):
    """Parameters of the breaches: `limit` counts tickets."""

    sort = sorts_of(TICKETS)


def resource(runtime: Runtime) -> Resource:
    """`/sla/breach-alerts` and `/sla/breaches`."""
    api = Resource("alerts", "What needs a person now: clocks that passed a level, and what somebody asks to escalate.")

    @api.get("/sla/breach-alerts")
    @needs("alerts.read")
    @api.query(AlertQuery)
    @api.gives(AlertListSchema)
    def list_all_alerts(query: dict[str, Any]) -> dict[str, Any]:
        """Alerts of a state, the latest first."""
        tenant, tab, filters = caller().tenant, query["state"], filters_of(query, "level", "metric")
        with runtime.database.reading(tenant) as tx:
            page = walk(LISTING, query, lambda after, limit: list_alerts(tx, tenant, tab=tab, filters=filters, sort=query["sort"], after=after, limit=limit))
            count, heads = count_tab(tx, tenant, tab, filters), count_alerts(tx, tenant, "")
        counts = {level: heads[level].number for level in LEVELS}
        answer = walked_page(LISTING, query, page, count, [_data(row) for row in page.rows])
        return {**answer, "counts": {**counts, "total": sum(counts.values()), "active": heads["open"].number}}

    @api.get(_ALERT)
    @needs("alerts.read")
    @api.versioned
    @api.gives(AlertSchema)
    def show_alert(alert_id: int) -> dict[str, Any]:
        """One alert."""
        with runtime.database.reading(caller().tenant) as tx:
            return _one(tx, alert_id)

    @api.post(f"{_ALERT}/acknowledge")
    @needs("alerts.acknowledge")
    @api.body(NoteSchema)
    @api.gives(AlertSchema)
    def acknowledge(told: dict[str, Any], alert_id: int) -> dict[str, Any]:
        """Take an alert, and the others of its clock. The clock keeps running."""
        tx = begin(runtime)
        _found(tx, alert_id)
        if not acknowledge_alert(tx, caller().tenant, alert_id, told["note"], caller().now, caller().actor.name):
            raise Problem("conflict", f"{_found(tx, alert_id).acknowledged_by} has taken this alert already.")
        return _one(tx, alert_id)

    @api.post(f"{_ALERT}/give-back")
    @needs("alerts.acknowledge")
    @api.gives(AlertSchema)
    def give_back(alert_id: int) -> dict[str, Any]:
        """Give an alert back: it stands open again."""
        tx = begin(runtime)
        _found(tx, alert_id)
        if not give_back_alert(tx, caller().tenant, alert_id, caller().now, caller().actor.name):
            raise Problem("conflict", "Nobody has it any more: it is open, or over.")
        return _one(tx, alert_id)

    @api.get(f"{TICKET}/alerts")
    @needs("alerts.read")
    @api.query(ListQuery)
    @api.gives(page_schema(AlertSchema))
    def list_alerts_of_ticket(query: dict[str, Any], ticket_id: int) -> dict[str, Any]:
        """Every alert of a ticket, all levels, in the order in which they were passed."""
        with runtime.database.reading(caller().tenant) as tx:
            alerts = alerts_of(tx, caller().tenant, the_ticket(tx, ticket_id).promise_id)
            answer = short_page(alerts, query)
            return {**answer, "items": [_data(row) for row in with_tickets(tx, caller().tenant, answer["items"])]}

    @api.get("/sla/breaches")
    @needs("tickets.read")
    @api.query(BreachQuery)
    @api.gives(BreachesSchema)
    def list_breaches(query: dict[str, Any]) -> dict[str, Any]:
        """Clocks that are breached and still tick, a page of tickets at a time."""
        tenant, now = caller().tenant, caller().now
        with runtime.database.reading(tenant) as tx:
            page = walk(TICKETS, query, lambda after, limit: list_tickets(tx, tenant, tab="breached", sort=query["sort"], after=after, limit=limit))
            count: Count = count_tickets(tx, tenant, tabs=("breached",))["breached"]
            clocks, terms = clocks_of_tickets(tx, tenant, [row.Ticket.id for row in page.rows]), index_terms(read_books(tx, tenant))
        breaches = []
        for row in page.rows:
            for clock in clocks.get(row.Ticket.id, ()):
                if clock.breached_at is not None and clock.open:
                    left = standing(clock, terms_of(clock, terms), now).left
                    of = {"metric": clock.metric, "cycle": clock.cycle, "breached_at": clock.breached_at, "over": None if left is None else -left}
                    breaches.append({"ticket_id": row.Ticket.id, **{name: getattr(row.Ticket, name) for name in _OF_TICKET}, **of})
        answer = walked_page(TICKETS, query, page, count, breaches)
        return {"breaches": breaches, "count": answer["total"], "count_is_capped": answer["total_is_capped"], "next": answer["next"]}

    return api


_OF_TICKET = ("connection_id", "external_id", "subject", "organization", "assignee", "priority")
_STORED = tuple(name for name in AlertSchema._declared_fields if name not in ("subject", "organization", "state"))


def _found(tx: Transaction, alert: int) -> Alert:
    found = get_alert(tx, caller().tenant, alert)
    if found is None:
        raise Problem("not-found", "There is no such alert here.")
    tx.refresh(found)  # services write past what was read
    return found


def _one(tx: Transaction, alert: int) -> dict[str, Any]:
    (row,) = with_tickets(tx, caller().tenant, [_found(tx, alert)])
    return _data(row)


def _data(row: Any) -> dict[str, Any]:
    alert = row.Alert
    state = "resolved" if alert.resolved_at is not None else "open" if alert.acknowledged_at is None else "acknowledged"
    return {**{name: getattr(alert, name) for name in _STORED}, "subject": row.subject, "organization": row.organization, "state": state}
