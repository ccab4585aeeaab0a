"""Verdicts as rows: what evaluate said, column by column."""

from collections.abc import Iterable
from typing import Any

from sla_plugin.engine.evaluate import Clock, Verdict
from sla_plugin.store.clocks import CLOCK_SAYS
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import STANDINGS, TICKETS, TICKING, Promise, Ticket, place_of

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
_COLUMNS = tuple((name, column, TICKETS.c[column].type.length) for name, column in _MIRRORED.items())  # type: ignore[attr-defined]
_NO_TERMS = (None, None, None, None)
_KNOWN = frozenset({*_MIRRORED, "tags", "created_at"})


def clock_values(promise: Promise, ticket: Ticket, clock: Clock) -> tuple[Any, ...]:
    """What a clock says as a row: the values of CLOCK_SAYS, as it stood when it last changed, so that the passing of time writes nothing."""
    terms = clock.terms
    phase = clock.phase
    return (
        promise.id,
        ticket.id,
        clock.metric,
        clock.cycle,
        phase,
        phase in OPEN_PHASES,
        clock.started_at,
        clock.stopped_at,
        clock.finished_at,
        clock.target,
        clock.counted,
        clock.since,
        clock.deadline_at,
        clock.deadline_next_open_at,
        clock.warning_at,
        clock.critical_at,
        clock.passed.get("breach"),
        *((terms.policy_id, terms.policy_version, terms.calendar_id, terms.calendar_version) if terms is not None else _NO_TERMS),
        clock.cause[:100] if phase == "on_hold" else None,
        clock.business,
        clock.allowance,
        _text(clock.owner, 200),
    )


def clock_row(tenant: int, values: tuple[Any, ...]) -> dict[str, Any]:
    """A new row that says `values`."""
    return {"tenant_id": tenant, "id": new_id(), **dict(zip(CLOCK_SAYS, values, strict=True))}


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
    row: dict[str, Any] = {"updated_at": verdict.last_at if verdict.last_at is not None else now}  # first: what differs most often
    row |= {column: value if (value := mirror.get(name)) is None else str(value)[:length] for name, column, length in _COLUMNS}
    row["subject"] = row["subject"] or ""
    row["tags"] = list(mirror.get("tags") or ())
    row["fields"] = {k: v for k, v in mirror.items() if k not in _KNOWN}
    row["gone"] = verdict.gone or None
    row["created_at"] = mirror.get("created_at") or _first_started(ticket, verdict)
    row["standing"], row["place"] = standing_of(verdict.clocks, verdict.as_of, row["updated_at"])
    if all(getattr(ticket, k) == v for k, v in row.items()):
        return None
    row["id"] = ticket.id
    return row


def standing_of(clocks: Iterable[Any], as_of: int, changed_at: int) -> tuple[str, int]:
    """The standing and the place in lists of a ticket: its gravest ticking clock, and the tightest deadline of them. `clocks`: evaluated, or stored rows."""
    gravest, tightest = len(STANDINGS) - 1, None
    for clock in clocks:
        if clock.phase in TICKING:
            if clock.breached_at is not None:
                grave = 0
            elif clock.phase == "on_hold":
                grave = 4
            else:
                passed = (clock.critical_at, clock.warning_at)
                grave = next((n for n, at in enumerate(passed, 1) if at is not None and at <= as_of), 3)
            gravest = min(gravest, grave)
            if clock.deadline_at is not None and (tightest is None or clock.deadline_at < tightest):
                tightest = clock.deadline_at
    return STANDINGS[gravest], place_of(STANDINGS[gravest], tightest, changed_at)


def _first_started(ticket: Ticket, verdict: Verdict) -> int | None:
    """When the first clock started; clocks finished before a checkpoint are not in the verdict, and were looked at when it was made."""
    started = min((c.started_at for c in verdict.clocks), default=None)
    return ticket.created_at if verdict.frozen and ticket.created_at is not None else started


def record_row(tenant: int, promise: Promise, ticket: Ticket, clock: Clock, now: int) -> dict[str, Any]:
    stopped = clock.stopped_at if clock.stopped_at is not None else clock.counted_at
    target = clock.target or 0
    facets, terms = clock.facets, clock.terms

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
        "priority": _text(facets.get("priority"), 40),
        "type": _text(facets.get("type"), 100),
        "category": _text(facets.get("category"), 100),
        "channel": _text(facets.get("channel"), 100),
        "assignee": _text(facets.get("assignee"), 200),
        "team": _text(facets.get("group"), 200),
        "organization": _text(facets.get("organization"), 200),
        "recorded_at": now,
        "owner": _text(clock.owner, 200),
    }


def _text(value: Any, length: int | None) -> str | None:
    return None if value is None else str(value)[:length]
