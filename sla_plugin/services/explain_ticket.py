"""Explain a ticket: evaluate its stored history again and show, clock by clock, what counted and why; the sum is proved, not claimed."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from sla_plugin.engine.durations import SECOND
from sla_plugin.engine.evaluate import Clock, Verdict
from sla_plugin.engine.ledger import Segment, ledger, sentence
from sla_plugin.engine.policies import ALWAYS_OPEN
from sla_plugin.errors import ConfigurationError
from sla_plugin.services.evaluate_promises import GRACE, complete_until, verdict_of
from sla_plugin.services.outside import Outside
from sla_plugin.services.read_books import read_books
from sla_plugin.services.record_override import KINDS, override_text
from sla_plugin.store.alerts import alerts_of
from sla_plugin.store.clocks import corrections_of, read_records
from sla_plugin.store.connections import Connection, get_connection
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import watermarks
from sla_plugin.store.events import read_histories
from sla_plugin.store.outbox import outbox_of
from sla_plugin.store.policies import calendar_versions
from sla_plugin.store.tickets import Promise, Ticket, find_ticket, get_promise

_CAUSES = {"": "terms came into force", "implied:creation": "creation (told by a later delivery)"}


def choose_ticket(tx: Transaction, tenant: int, word: str, connection: str | None) -> tuple[Ticket, Connection]:
    """The ticket with that external id (or our id), and its connection. Raises ConfigurationError if there is none, or several and no connection named."""
    found = []
    for ticket in find_ticket(tx, tenant, word):
        owner = get_connection(tx, tenant, ticket.connection_id)
        if owner is not None and (connection is None or owner.name == connection):
            found.append((ticket, owner))
    if not found:
        where = f" on {connection}" if connection else ""
        raise ConfigurationError(f"there is no ticket {word!r}{where}; `sla-plugin export tickets --json` lists them")
    if len(found) > 1:
        names = ", ".join(sorted(owner.name for _, owner in found))
        raise ConfigurationError(f"several connections have a ticket {word!r} ({names}): say which with --connection")
    return found[0]


def explain_ticket(tx: Transaction, tenant: int, ticket: Ticket, connection: Connection, now: int, outside: Outside) -> dict[str, Any]:
    """Everything about a ticket's clocks as plain data.

    Instants and durations are integer microseconds under `*_at`, `from`, `to` and `*_us`; durations without a suffix are whole seconds. Raises
    AssertionError if a ledger does not sum to its clock's elapsed time: that would be a bug of ours, never to be shown as a fact.
    """
    promise = get_promise(tx, tenant, ticket.promise_id)
    if promise is None:
        raise AssertionError(f"ticket {ticket.id} has no promise")
    rows = read_histories(tx, tenant, [promise.id]).get(promise.id, [])
    as_of = complete_until(promise, rows, now, watermarks(tx, now - GRACE))
    verdict = verdict_of(promise, rows, read_books(tx, tenant), outside.words(connection), connection, as_of, outside.settle)
    events = {row.event_key: row for row in rows}
    calendars = {version.calendar_id: name for name, version in calendar_versions(tx, tenant)}
    commands, calls = outbox_of(tx, tenant, promise.id)
    records = {(r.metric, r.cycle): r for r in read_records(tx, tenant, [promise.id], {})}
    return {
        "ticket": ticket.external_id,
        "connection": connection.name,
        "subject": ticket.subject,
        "status": ticket.status,
        "status_word": ticket.status_word,
        "priority": ticket.priority,
        "priority_word": ticket.priority_word,
        "gone": verdict.gone or None,
        "as_of_at": as_of,
        "events": len(rows),
        "clocks": [_clock(clock, events, calendars, records.get((clock.metric, clock.cycle)) is not None) for clock in verdict.clocks],
        "choice": _choice(promise, verdict),
        "by_hand": [_by_hand(row) for row in sorted(rows, key=attrgetter("occurred_at", "id")) if row.kind in KINDS],
        "corrections": [
            {
                "metric": c.metric,
                "cycle": c.cycle,
                "number": c.number,
                "made_at": c.made_at,
                "was": c.was,
                "now": c.now,
                "late_events": c.cause.get("events", []),
            }
            for c in corrections_of(tx, tenant, promise.id)
        ],
        "alerts": [
            {"metric": a.metric, "cycle": a.cycle, "level": a.level, "due_at": a.due_at, "raised_at": a.raised_at} for a in alerts_of(tx, tenant, promise.id)
        ],
        "commands": [
            {"kind": c.kind, "state": c.state, "payload": c.payload, "cause": c.cause, "due_at": c.due_at, "settled_at": c.settled_at, "reason": c.reason}
            for c in commands
        ],
        "calls": [
            {
                "state": c.state,
                "tries": c.tries,
                "first_tried_at": c.first_tried_at,
                "settled_at": c.settled_at,
                "status": c.status,
                "reason": c.reason,
                "commands": [one.kind for one in commands if one.call_id == c.id],
            }
            for c in calls
        ],
    }


def _choice(promise: Promise, verdict: Verdict) -> Sequence[Mapping[str, Any]]:
    """The policies in the order they were tried, up to the match."""
    reasons: Sequence[Mapping[str, Any]] = (promise.choice or {}).get("reasons") or ()
    return reasons or (verdict.book.why(verdict.state) if verdict.book is not None else ())


def _by_hand(row: Any) -> dict[str, Any]:
    told = row.data["values"]
    what, refused = override_text(row.kind, told), row.kind == "override.refused"
    return {"event": row.event_key, "decided_at": row.occurred_at, "what": what, "refused": refused, "actor": row.actor_id, "reason": told["reason"]}


def _clock(clock: Clock, events: Mapping[str, Any], calendars: Mapping[int, str], recorded: bool) -> dict[str, Any]:
    title = clock.title
    segments = ledger(clock)
    summed = sum(segment.counted for segment in segments)
    if summed != clock.elapsed:
        raise AssertionError(f"the ledger of {clock.metric} {clock.cycle} sums to {summed} µs, its clock says {clock.elapsed} µs")
    terms = clock.terms
    calendar: dict[str, Any] | None = None
    if terms is not None:
        calendar = {"name": ALWAYS_OPEN if terms.calendar_id is None else calendars.get(terms.calendar_id), "version": terms.calendar_version}
        if terms.beside_id is not None:
            calendar["beside"] = {"name": calendars.get(terms.beside_id), "version": terms.beside_version}
    return {
        "metric": clock.metric,
        "title": title,
        "cycle": clock.cycle,
        "phase": clock.phase,
        "sentence": sentence(clock, title),
        "policy": {"name": terms.policy.name, "version": terms.policy_version} if terms is not None else None,
        "calendar": calendar,
        "counts": "business" if clock.business else "calendar",
        "started_at": clock.started_at,
        "stopped_at": clock.stopped_at,
        "finished_at": clock.finished_at,
        "counted_until_at": clock.counted_at,
        "target": None if clock.target is None else clock.target // SECOND,
        "target_us": clock.target,
        "granted_us": clock.granted,
        "extensions": [{"event": key, "by_us": amount} for key, amount in clock.grants.items()],
        "elapsed": clock.elapsed // SECOND,
        "elapsed_us": clock.elapsed,
        "met": None if clock.phase in ("pending", "running", "on_hold", "cancelled") and clock.breached_at is None else clock.breached_at is None,
        "deadline_at": clock.deadline_at,
        "deadline_next_open_at": clock.deadline_next_open_at if clock.deadline_next_open_at != clock.deadline_at else None,
        "warning_at": clock.warning_at,
        "critical_at": clock.critical_at,
        "breached_at": clock.breached_at,
        "recorded": recorded,
        "ledger": _rows(segments, clock.elapsed, events),
        "sum_us": summed,
        "sum": clock.elapsed // SECOND,
        "sums": True,
    }


def _rows(segments: Sequence[Segment], elapsed: int, events: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Ledger rows; whole seconds are cut, and the last row that counts carries what was cut off, so that the seconds sum too."""
    last = max((number for number, s in enumerate(segments) if s.counted), default=None)
    rows = []
    total = 0
    for number, s in enumerate(segments):
        seconds = elapsed // SECOND - total if number == last else s.counted // SECOND
        total += seconds
        rows.append(
            {
                "from": s.since,
                "to": s.until,
                "state": s.state,
                "name": s.name,
                "cause": _cause(s.cause, events),
                "event": s.cause or None,
                "counted": seconds,
                "counted_us": s.counted,
                "total": total,
                "total_us": s.total,
                "policy": s.policy,
                "policy_version": s.policy_version,
                "calendar_version": s.calendar_version,
            }
        )
    return rows


def _cause(key: str, events: Mapping[str, Any]) -> str:
    """The event behind a segment in a few words: `status.changed Open to Pending by agent 12`."""
    row = events.get(key)
    if row is None:
        return _CAUSES.get(key, key)
    said = str(row.kind)
    data = row.data
    if "to" in data:
        said += f" {_word(data['from'])} to {_word(data['to'])}" if data.get("from") is not None else f" to {_word(data['to'])}"
    elif "status" in (data.get("values") or {}):
        said += f" status {_word(data['values']['status'])}"
    if row.kind in KINDS:
        return f"{override_text(row.kind, data['values'])} by {row.actor_id}"
    if row.actor_role != "unknown":
        said += f" by {row.actor_role}" + (f" {row.actor_id}" if row.actor_id else "")
    return said


def _word(value: Any) -> str:
    return "nothing" if value in (None, "") else str(value)[:60]
