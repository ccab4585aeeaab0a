"""Compliance: what was kept of what was promised, of one ticket and of all; and why, to the second."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import fields

from sla_plugin.engine.durations import DAY
from sla_plugin.reports.alert_list import count_alerts
from sla_plugin.reports.compliance import Attained, attained_by_metric, records_of
from sla_plugin.reports.export_rows import written_out
from sla_plugin.reports.ticket_list import OPEN, clocks_of_tickets, count_tickets
from sla_plugin.services.explain_ticket import explain_ticket
from sla_plugin.store.alerts import LEVELS
from sla_plugin.store.clocks import Correction, Record, corrections_of
from sla_plugin.store.connections import get_connection
from sla_plugin.store.tenants import get_tenant
from sla_plugin.web.access import needs
from sla_plugin.web.api.clocks import ClockSchema, standing_clocks
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import PeriodBoundsQuery, period
from sla_plugin.web.api.problems import Problem
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Instant, Seconds, Shape
from sla_plugin.web.api.tickets import the_ticket
from sla_plugin.web.looks import note_look
from sla_plugin.web.runtime import Runtime

_TICKET = "/sla/tickets/<id:ticket_id>"
STATS_DAYS = 30


class NetSchema(Shape):
    """What a record comes down to."""

    started_at = Instant(required=True)
    stopped_at = Instant(required=True, allow_none=True)
    target = Seconds(required=True, allow_none=True)
    elapsed = Seconds(required=True)
    met = fields.Boolean(required=True)


class CorrectionSchema(Shape):
    """A late fact that contradicts a record. The record stays as it is; what counts is its last correction."""

    number = fields.Integer(required=True)
    made_at = Instant(required=True)
    was = fields.Nested(NetSchema, required=True)
    now = fields.Nested(NetSchema, required=True, allow_none=True, metadata={"description": "None: the cycle never was."})
    late_events = fields.List(fields.String(), required=True)


class RecordSchema(Shape):
    """A finished cycle, as it was judged. It never changes."""

    id = Id(required=True)
    metric = fields.String(required=True)
    cycle = fields.Integer(required=True)
    met = fields.Boolean(required=True, metadata={"description": "As recorded."})
    counts_as_met = fields.Boolean(required=True, allow_none=True, metadata={"description": "As its last correction says; None: the cycle never was."})
    started_at = Instant(required=True)
    stopped_at = Instant(required=True)
    finished_at = Instant(required=True)
    deadline_at = Instant(required=True, allow_none=True)
    breached_at = Instant(required=True, allow_none=True)
    target = Seconds(required=True)
    granted = Seconds(required=True, metadata={"description": "Of the target, what was granted by hand."})
    elapsed = Seconds(required=True)
    elapsed_wall = Seconds(required=True, metadata={"description": "As time passes, whatever counts."})
    overrun = Seconds(required=True)
    policy_id = Id(required=True, allow_none=True)
    policy_version = fields.Integer(required=True, allow_none=True)
    calendar_id = Id(required=True, allow_none=True)
    calendar_version = fields.Integer(required=True, allow_none=True)
    recorded_at = Instant(required=True)
    corrections = fields.List(fields.Nested(CorrectionSchema), required=True)


class TicketComplianceSchema(Shape):
    """What was kept of what one ticket was promised."""

    ticket_id = Id(required=True)
    met = fields.Integer(required=True, metadata={"description": "Records that count as met."})
    breached = fields.Integer(required=True, metadata={"description": "Records that count as breached."})
    records = fields.List(fields.Nested(RecordSchema), required=True)
    open = fields.List(fields.Nested(ClockSchema), required=True, metadata={"description": "Clocks that are not over, as they stand."})


class ExplanationSchema(Shape):
    """Why a ticket's clocks stand as they do: the same as `sla-plugin explain --json`. Durations under `*_us` are microseconds."""

    ticket = fields.String(required=True)
    connection = fields.String(required=True)
    subject = fields.String(required=True)
    status = fields.String(required=True)
    status_word = fields.String(required=True, allow_none=True)
    priority = fields.String(required=True)
    priority_word = fields.String(required=True, allow_none=True)
    gone = fields.String(required=True, allow_none=True)
    as_of_at = fields.String(required=True, metadata={"format": "date-time"})
    events = fields.Integer(required=True, metadata={"description": "How many events it is worked out from."})
    clocks = fields.List(
        fields.Dict(),
        required=True,
        metadata={"description": "Each with its terms, a sentence, and the ledger of what counted, which sums to the elapsed time."},
    )
    choice = fields.List(fields.Dict(), required=True, metadata={"description": "The policies in the order they were tried, up to the match."})
    by_hand = fields.List(fields.Dict(), required=True)
    corrections = fields.List(fields.Dict(), required=True)
    alerts = fields.List(fields.Dict(), required=True)
    commands = fields.List(fields.Dict(), required=True)
    calls = fields.List(fields.Dict(), required=True)


class AttainedSchema(Shape):
    """Cycles that finished in a period."""

    finished = fields.Integer(required=True, metadata={"description": "The denominator: met and breached."})
    met = fields.Integer(required=True)
    breached = fields.Integer(required=True)
    corrected = fields.Integer(required=True, metadata={"description": "Of them, judged otherwise after a late fact, or confirmed."})
    rate = fields.Float(required=True, allow_none=True, metadata={"description": "Percent met of the finished ones; None where none finished."})


class AttainedOfMetricSchema(AttainedSchema):
    """Cycles of one metric."""

    metric = fields.String(required=True)


class ComplianceSchema(AttainedSchema):
    """Compliance over a period, by metric and over all."""

    since = Instant(required=True)
    until = Instant(required=True, metadata={"description": "The first instant that is not part of it."})
    metrics = fields.List(fields.Nested(AttainedOfMetricSchema), required=True)


class CountedSchema(Shape):
    """So many."""

    number = fields.Integer(required=True)
    is_capped = fields.Boolean(required=True, metadata={"description": "There are more: counting ends at 10,000."})


def _counted(names: Sequence[str]) -> fields.Nested:
    return fields.Nested(
        Shape.from_dict({name: fields.Nested(CountedSchema, required=True) for name in names}, name=f"CountsOf{names[0].title()}Schema"), required=True
    )


class StatsSchema(Shape):
    """How things stand now."""

    tickets = _counted(OPEN)
    alerts = _counted(LEVELS)
    active_alerts = fields.Nested(CountedSchema, required=True, metadata={"description": "Alerts that nobody has taken yet."})
    compliance = fields.Nested(ComplianceSchema, required=True, metadata={"description": f"Of the last {STATS_DAYS} days."})


def resource(runtime: Runtime) -> Resource:
    """`/sla/compliance`, `/sla/stats`, `/sla/tickets/{id}/…`."""
    api = Resource("compliance", "What was kept of what was promised, and why.")

    @api.get(f"{_TICKET}/compliance")
    @needs("tickets.read")
    @api.gives(TicketComplianceSchema)
    def show_compliance_of_ticket(ticket_id: int) -> dict[str, Any]:
        """What was kept of what a ticket was promised: records, their corrections, and what is still open."""
        tenant = caller().tenant
        with runtime.database.reading(tenant) as tx:
            ticket = the_ticket(tx, ticket_id)
            records, corrections = records_of(tx, tenant, ticket.promise_id), corrections_of(tx, tenant, ticket.promise_id)
            clocks = clocks_of_tickets(tx, tenant, [ticket.id])
            stand = standing_clocks(tx, tenant, {one: [clock for clock in found if clock.open] for one, found in clocks.items()}, caller().now)
        note_look("ticket", ticket_id)
        told = [_record(record, [c for c in corrections if c.record_id == record.id]) for record in records]
        counted = [row["counts_as_met"] for row in told]
        return {"ticket_id": ticket_id, "met": counted.count(True), "breached": counted.count(False), "records": told, "open": stand.get(ticket_id, [])}

    @api.get(f"{_TICKET}/explain")
    @needs("tickets.read")
    @api.gives(ExplanationSchema)
    def explain(ticket_id: int) -> dict[str, Any]:
        """Why a ticket's clocks stand as they do, segment by segment."""
        tenant = caller().tenant
        with runtime.database.reading(tenant) as tx:
            ticket = the_ticket(tx, ticket_id)
            connection = get_connection(tx, tenant, ticket.connection_id)
            if connection is None:
                raise Problem("not-found", "The connection of this ticket is gone, and with it the words of its helpdesk.")
            data: dict[str, Any] = written_out(explain_ticket(tx, tenant, ticket, connection, caller().now, runtime.outside))
        note_look("ticket", ticket_id)
        return data

    @api.get("/sla/compliance")
    @needs("overview.read")
    @api.query(PeriodBoundsQuery)
    @api.gives(ComplianceSchema)
    def show_compliance(query: dict[str, Any]) -> dict[str, Any]:
        """How many of the cycles that finished in a period were met."""
        with runtime.database.reading(caller().tenant) as tx:
            since, until = period(query, ZoneInfo(get_tenant(tx, caller().tenant).time_zone), caller().now)
            return _compliance(attained_by_metric(tx, caller().tenant, since, until), since, until)

    @api.get("/sla/stats")
    @needs("overview.read")
    @api.gives(StatsSchema)
    def show_stats() -> dict[str, Any]:
        """How things stand now: open tickets by their gravest clock, alerts, and compliance of late."""
        tenant, now = caller().tenant, caller().now
        since = now - STATS_DAYS * DAY
        with runtime.database.reading(tenant) as tx:
            tickets, alerts = count_tickets(tx, tenant, tabs=OPEN), count_alerts(tx, tenant, "")
            attained = attained_by_metric(tx, tenant, since, now + 1)
        counts = {name: {"number": one.number, "is_capped": one.more} for name, one in {**tickets, **alerts}.items()}
        return {
            "tickets": {name: counts[name] for name in OPEN},
            "alerts": {name: {"number": alerts[name].number, "is_capped": alerts[name].more} for name in LEVELS},
            "active_alerts": counts["open"],
            "compliance": _compliance(attained, since, now + 1),
        }

    return api


_RECORD = tuple(name for name in RecordSchema._declared_fields if name not in ("corrections", "counts_as_met"))


def _record(record: Record, corrections: Sequence[Correction]) -> dict[str, Any]:
    last = corrections[-1].now if corrections else {"met": record.met}
    told = [
        {"number": c.number, "made_at": c.made_at, "was": c.was, "now": c.now, "late_events": [str(one) for one in c.cause.get("events", ())]}
        for c in corrections
    ]
    return {**{name: getattr(record, name) for name in _RECORD}, "counts_as_met": None if last is None else last["met"], "corrections": told}


def _compliance(attained: dict[str, Attained], since: int, until: int) -> dict[str, Any]:
    whole = sum(attained.values(), Attained())
    return {**_attained(whole), "since": since, "until": until, "metrics": [{"metric": metric, **_attained(one)} for metric, one in attained.items()]}


def _attained(one: Attained) -> dict[str, Any]:
    return {"finished": one.finished, "met": one.met, "breached": one.breached, "corrected": one.corrected, "rate": one.rate}
