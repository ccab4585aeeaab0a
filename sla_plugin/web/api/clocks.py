"""Clocks of tickets as the API answers them: how each stands now."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marshmallow import fields

from sla_plugin.reports.standing import Standing, index_terms, standing, terms_of
from sla_plugin.services.read_books import read_books
from sla_plugin.store.clocks import Clock
from sla_plugin.store.db import Transaction
from sla_plugin.web.api.shapes import Id, Instant, Seconds, Shape

STATES = ("breached", "critical", "warning", "running", "on_hold", "pending", "met", "cancelled")


class PromisedClockSchema(Shape):
    """A clock as customers see it: what was promised, and until when."""

    metric = fields.String(required=True, metadata={"description": "first_response, resolution, …"})
    cycle = fields.Integer(required=True)
    state = fields.String(required=True, metadata={"enum": list(STATES)})
    due_at = Instant(required=True, allow_none=True, metadata={"description": "None while it is on hold, and without a target."})
    target = Seconds(required=True, allow_none=True, metadata={"description": "Seconds that were promised."})
    elapsed = Seconds(required=True, metadata={"description": "Seconds that have counted up to now."})
    remaining = Seconds(required=True, allow_none=True, metadata={"description": "Seconds that are left, as they count; negative when over."})
    started_at = Instant(required=True)
    stopped_at = Instant(required=True, allow_none=True)
    breached_at = Instant(required=True, allow_none=True)


class ClockSchema(PromisedClockSchema):
    """One cycle of one metric of a ticket."""

    phase = fields.String(required=True, metadata={"description": "pending, running, on_hold, stopped, finished or cancelled."})
    counts = fields.String(required=True, metadata={"enum": ["business", "calendar"], "description": "Which time counts."})
    opens_at = Instant(required=True, allow_none=True, metadata={"description": "When time counts again, if it is outside hours now."})
    hold_cause = fields.String(required=True, allow_none=True)
    warning_at = Instant(required=True, allow_none=True)
    critical_at = Instant(required=True, allow_none=True)
    finished_at = Instant(required=True, allow_none=True)
    policy_id = Id(required=True, allow_none=True)
    policy_version = fields.Integer(required=True, allow_none=True)
    calendar_id = Id(required=True, allow_none=True, metadata={"description": "None: around the clock."})
    calendar_version = fields.Integer(required=True, allow_none=True)


_STORED = ("metric", "cycle", "phase", "hold_cause", "started_at", "stopped_at", "finished_at", "warning_at", "critical_at", "breached_at")
_TERMS = ("policy_id", "policy_version", "calendar_id", "calendar_version")


def standing_clocks(tx: Transaction, tenant: int, clocks: Mapping[int, Sequence[Clock]], now: int) -> dict[int, list[dict[str, Any]]]:
    """The clocks of some tickets as they stand at an instant, in their order."""
    terms = index_terms(read_books(tx, tenant))

    def told(rows: Iterable[Clock]) -> list[dict[str, Any]]:
        return [_clock(row, standing(row, terms_of(row, terms), now)) for row in rows]

    return {ticket: told(rows) for ticket, rows in clocks.items()}


def _clock(row: Clock, stands: Standing) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in (*_STORED, *_TERMS)},
        "state": stands.state,
        "due_at": row.deadline_at,
        "target": stands.target,
        "elapsed": stands.elapsed,
        "remaining": stands.left,
        "counts": "business" if stands.business else "calendar",
        "opens_at": stands.opens_at,
    }
