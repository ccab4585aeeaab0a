"""Verdicts as rows: what evaluate said, column by column."""

from typing import Any

from sla_plugin.engine.evaluate import Clock, Verdict
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import Promise, Ticket

OPEN_PHASES = ("pending", "running", "on_hold", "stopped")
_MIRRORED = {
    "subject": "subject",
    "status": "status",
    "status_word": "status_word",
    "priority": "priority",
    "priority_word": "priority_word",
    "type": "type",
    "category": "category",
    "channel": "channel",
    "assignee": "assignee",
    "group": "team",
    "requester": "requester",
    "organization": "organization",
    "link": "link",
}
_COLUMNS = tuple((name, column, getattr(Ticket, column).type.length) for name, column in _MIRRORED.items())
_KNOWN = frozenset({*_MIRRORED, "tags", "created_at"})


def clock_row(tenant: int, promise: Promise, ticket: Ticket, clock: Clock) -> dict[str, Any]:
    open_ = clock.phase in OPEN_PHASES
    terms = clock.terms
    return {
        "tenant_id": tenant,
        "id": new_id(),
        "promise_id": promise.id,
        "ticket_id": ticket.id,
        "metric": clock.metric,
        "cycle": clock.cycle,
        "phase": clock.phase,
        "open": open_,
        "started_at": clock.started_at,
        "stopped_at": clock.stopped_at,
        "finished_at": clock.finished_at,
        "target": clock.target,
        # as it stood when the clock last changed, so that the passing of time writes nothing
        "elapsed": clock.counted,
        "counted_at": clock.since,
        "deadline_at": clock.deadline_at,
        "deadline_next_open_at": clock.deadline_next_open_at,
        "warning_at": clock.warning_at,
        "critical_at": clock.critical_at,
        "breached_at": clock.breached_at,
        "policy_id": terms.policy_id if terms else None,
        "policy_version": terms.policy_version if terms else None,
        "calendar_id": terms.calendar_id if terms else None,
        "calendar_version": terms.calendar_version if terms else None,
        "hold_cause": clock.cause[:100] if clock.phase == "on_hold" else None,
    }


def alert_row(tenant: int, promise: Promise, ticket: Ticket, clock: Clock, level: str, now: int) -> dict[str, Any]:
    return {
        "tenant_id": tenant,
        "id": new_id(),
        "promise_id": promise.id,
        "ticket_id": ticket.id,
        "connection_id": promise.connection_id,
        "external_id": ticket.external_id,
        "metric": clock.metric,
        "cycle": clock.cycle,
        "level": level,
        "due_at": clock.passed[level],
        "raised_at": now,
        "policy_id": clock.terms.policy_id if clock.terms else None,
        "policy_version": clock.terms.policy_version if clock.terms else None,
    }


def ticket_row(ticket: Ticket, verdict: Verdict, now: int) -> dict[str, Any] | None:
    """The mirror's columns; None if nothing changed."""
    mirror = verdict.mirror
    row: dict[str, Any] = {column: _text(mirror.get(name), length) for name, column, length in _COLUMNS}
    row["subject"] = row["subject"] or ""
    row["tags"] = list(mirror.get("tags") or ())
    row["fields"] = {k: v for k, v in mirror.items() if k not in _KNOWN}
    row["gone"] = verdict.gone or None
    row["created_at"] = mirror.get("created_at") or min((c.started_at for c in verdict.clocks), default=None)
    row["updated_at"] = verdict.last_at if verdict.last_at is not None else now
    if all(getattr(ticket, k) == v for k, v in row.items()):
        return None
    return {"id": ticket.id, **row}


def record_row(tenant: int, promise: Promise, ticket: Ticket, clock: Clock, now: int) -> dict[str, Any]:
    stopped = clock.stopped_at if clock.stopped_at is not None else clock.counted_at
    target = clock.target or 0
    facets, terms = clock.facets, clock.terms

    def facet(name: str, length: int) -> str | None:
        return _text(facets.get(name), length)

    return {
        "tenant_id": tenant,
        "id": new_id(),
        "promise_id": promise.id,
        "ticket_id": ticket.id,
        "external_id": ticket.external_id,
        "connection_id": promise.connection_id,
        "metric": clock.metric,
        "cycle": clock.cycle,
        "started_at": clock.started_at,
        "stopped_at": stopped,
        "finished_at": clock.finished_at,
        "target": target,
        "granted": clock.granted,
        "elapsed": clock.elapsed,
        "elapsed_wall": stopped - clock.started_at,
        "met": clock.breached_at is None,
        "overrun": max(clock.elapsed - target, 0),
        "deadline_at": clock.deadline_at,
        "breached_at": clock.breached_at,
        "policy_id": terms.policy_id if terms else None,
        "policy_version": terms.policy_version if terms else None,
        "calendar_id": terms.calendar_id if terms else None,
        "calendar_version": terms.calendar_version if terms else None,
        "priority": facet("priority", 40),
        "type": facet("type", 100),
        "category": facet("category", 100),
        "channel": facet("channel", 100),
        "assignee": facet("assignee", 200),
        "team": facet("group", 200),
        "organization": facet("organization", 200),
        "recorded_at": now,
    }


def _text(value: Any, length: int | None) -> str | None:
    return None if value is None else str(value)[:length]
