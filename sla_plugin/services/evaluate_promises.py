"""Evaluate locked promises and write what changed: mirror, clocks, records, corrections, alerts, commands. The heart of apply, time and sweep."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sla_plugin.engine.clocks import LEVELS
from sla_plugin.engine.evaluate import Clock as EngineClock
from sla_plugin.engine.evaluate import Verdict, evaluate
from sla_plugin.engine.facts import DONE, Fact, translate
from sla_plugin.ports import Words
from sla_plugin.services.outside import Outside
from sla_plugin.services.plan_commands import plan_breach
from sla_plugin.services.read_books import books_since, read_books
from sla_plugin.store.alerts import insert_alerts
from sla_plugin.store.clocks import (
    Clock,
    Record,
    delete_clocks,
    insert_corrections,
    insert_records,
    latest_corrections,
    read_clocks,
    read_records,
    write_clocks,
)
from sla_plugin.store.connections import Connection, list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import watermarks
from sla_plugin.store.events import read_histories
from sla_plugin.store.ids import new_id
from sla_plugin.store.outbox import insert_commands
from sla_plugin.store.tenants import book_revision
from sla_plugin.store.tickets import Promise, Ticket, tickets_of, write_promises, write_tickets

GRACE = 5_000_000  # deliveries untried for longer than this hold a connection's clocks back
_OPEN = ("pending", "running", "on_hold", "stopped")
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


@dataclass
class Written:
    """What an evaluation wrote, for the audit entry and the wakes. `earliest`: the earliest next transition among the promises."""

    clocks: int = 0
    records: list[str] = field(default_factory=list)
    corrections: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    commands: int = 0
    earliest: int | None = None

    def changes(self) -> dict[str, Any]:
        """The parts that are not empty."""
        parts = {"clocks": self.clocks, "records": self.records, "corrections": self.corrections, "alerts": self.alerts, "commands": self.commands}
        return {k: v for k, v in parts.items() if v}


def facts_of(rows: Sequence[Any], words: Words) -> list[Fact]:
    """A promise's event rows in our words."""
    return [
        translate(
            key=r.event_key,
            kind=r.kind,
            at=r.occurred_at,
            sequence=r.sequence,
            actor_id=r.actor_id,
            actor_role=r.actor_role,
            public=r.public,
            own=r.own,
            data=r.data,
            status=words.status,
            priority=words.priority,
            unset_priority=words.unset_priority,
        )
        for r in rows
    ]


def verdict_of(tx: Transaction, tenant: int, promise: Promise, rows: Sequence[Any], words: Words, connection: Connection, as_of: int, settle: int) -> Verdict:
    """Evaluate one promise's stored history at `as_of`."""
    return evaluate(
        facts_of(rows, words),
        books_since(read_books(tx, tenant), promise.first_received_at),
        as_of,
        settle=settle,
        # a vendor's creation instant may be cut to the second
        known_since=connection.created_at - 1_000_000,
    )


def complete_until(promise: Promise, rows: Sequence[Any], now: int, held_back: Mapping[int, int]) -> int:
    """Up to which instant the facts of a promise are complete; `held_back`: connection -> watermark."""
    as_of = now
    if promise.history:
        as_of = max((r.occurred_at for r in rows), default=now)
    elif promise.connection_id in held_back:
        as_of = min(now, held_back[promise.connection_id])
    return max(as_of, promise.horizon_at)


def evaluate_promises(tx: Transaction, tenant: int, promises: Sequence[Promise], now: int, outside: Outside, causes: Mapping[int, Sequence[str]]) -> Written:
    """Evaluate promises that this transaction has locked, and write what changed.

    `causes`: promise -> keys of the events that made us look (none when time passed).
    """
    written = Written()
    if not promises:
        return written
    ids = [p.id for p in promises]
    histories = read_histories(tx, tenant, ids)
    tickets = {t.promise_id: t for t in tickets_of(tx, tenant, ids)}
    stored: dict[int, list[Clock]] = {p: [] for p in ids}
    for clock in read_clocks(tx, tenant, ids):
        stored[clock.promise_id].append(clock)
    connections = {c.id: c for c in list_connections(tx, tenant)}
    words = {c.id: outside.words(c) for c in connections.values()}
    held_back = watermarks(tx, now - GRACE)
    revision = book_revision(tx, tenant)

    promise_rows, ticket_rows, clock_rows, stale, alert_rows = [], [], [], [], []
    finished: list[tuple[Promise, Ticket, EngineClock]] = []
    verdicts: dict[int, Verdict] = {}
    judged: set[int] = set()
    for promise in promises:
        ticket, rows = tickets[promise.id], histories.get(promise.id, [])
        connection = connections[promise.connection_id]
        if any(r.kind == "history.ended" or r.data.get("history_end") for r in rows) and promise.history:
            promise.history, promise.alerts_since = False, now
        elif promise.history and any(not r.data.get("history") and r.kind != "own.write" for r in rows):
            promise.history, promise.alerts_since = False, now
        as_of = complete_until(promise, rows, now, held_back)
        verdict = verdicts[promise.id] = verdict_of(tx, tenant, promise, rows, words[connection.id], connection, as_of, outside.settle)
        fresh_clocks = {(c.metric, c.cycle): c for c in verdict.clocks}
        old = {(c.metric, c.cycle): c for c in stored[promise.id]}
        for key, clock in fresh_clocks.items():
            row = _clock_row(tenant, promise, ticket, clock)
            before = old.get(key)
            if before is None or any(getattr(before, k) != v for k, v in row.items() if k != "id"):
                clock_rows.append(row)
                if clock.phase == "finished" or (before is not None and not before.open):
                    judged.add(promise.id)
            if clock.phase == "finished":
                finished.append((promise, ticket, clock))
            if not promise.history:
                alert_rows += [_alert_row(tenant, promise, ticket, clock, level, now) for level in LEVELS if clock.passed.get(level, 0) > promise.alerts_since]
        vanished = [c.id for key, c in old.items() if key not in fresh_clocks]
        if vanished:
            stale += vanished
            judged.add(promise.id)
        ticket_row = _ticket_row(ticket, verdict, now)
        if ticket_row is not None:
            ticket_rows.append(ticket_row)
        is_open = any(c.phase in _OPEN for c in verdict.clocks) or (verdict.state["status"] not in DONE and not verdict.gone)
        coming = None if promise.history else verdict.next_transition_at
        policy_id = verdict.terms.policy_id if verdict.terms else None
        chosen_before = promise.choice and promise.policy_id == policy_id and promise.book_revision == revision
        row = {
            "id": promise.id,
            "next_transition_at": coming,
            "book_revision": revision,
            "open": is_open,
            "history": promise.history,
            "horizon_at": as_of,
            "alerts_since": promise.alerts_since,
            "policy_id": policy_id,
            "choice": promise.choice if chosen_before else _choice(verdict),
        }
        promise_rows.append(row)
        if coming is not None and (written.earliest is None or coming < written.earliest):
            written.earliest = coming

    write_clocks(tx, clock_rows)
    delete_clocks(tx, tenant, stale)
    write_tickets(tx, tenant, ticket_rows)
    write_promises(tx, tenant, promise_rows)
    written.clocks = len(clock_rows)
    _write_records(tx, tenant, judged, finished, now, causes, written)
    fresh = insert_alerts(tx, alert_rows)
    written.alerts = sorted(f"{tickets[p].external_id}:{metric}:{cycle}:{level}" for p, metric, cycle, level in fresh)
    commands: list[dict[str, Any]] = []
    for promise_id, metric, cycle, level in sorted(fresh):
        promise = next(p for p in promises if p.id == promise_id)
        verdict = verdicts[promise_id]
        clock = next(c for c in verdict.clocks if (c.metric, c.cycle) == (metric, cycle))
        # an escalation is for a clock that still runs: nobody is told to hurry with what is done
        if level == "breach" and clock.phase in ("running", "on_hold"):
            connection = connections[promise.connection_id]
            commands += plan_breach(
                tenant, connection, words[connection.id], outside.connector(connection.connector).capabilities, tickets[promise_id], verdict, clock, now
            )
    written.commands = insert_commands(tx, commands)
    if any(c["state"] == "pending" for c in commands):
        tx.after_commit(outside.queue.wake_outbox)
    return written


def _clock_row(tenant: int, promise: Promise, ticket: Ticket, clock: EngineClock) -> dict[str, Any]:
    open_ = clock.phase in _OPEN
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
        "counted_at": clock.spans[-1].since,
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


def _alert_row(tenant: int, promise: Promise, ticket: Ticket, clock: EngineClock, level: str, now: int) -> dict[str, Any]:
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


def _ticket_row(ticket: Ticket, verdict: Verdict, now: int) -> dict[str, Any] | None:
    """The mirror's columns; None if nothing changed."""
    mirror = verdict.mirror
    row: dict[str, Any] = {column: _text(mirror.get(name), getattr(Ticket, column).type.length) for name, column in _MIRRORED.items()}
    row["subject"] = row["subject"] or ""
    row["tags"] = list(mirror.get("tags") or ())
    known = {*_MIRRORED, "tags", "created_at"}
    row["fields"] = {k: v for k, v in mirror.items() if k not in known}
    row["gone"] = verdict.gone or None
    row["created_at"] = mirror.get("created_at") or min((c.started_at for c in verdict.clocks), default=None)
    row["updated_at"] = verdict.last_at if verdict.last_at is not None else now
    if all(getattr(ticket, k) == v for k, v in row.items()):
        return None
    return {"id": ticket.id, **row}


def _text(value: Any, length: int | None) -> str | None:
    return None if value is None else str(value)[:length]


def _choice(verdict: Verdict) -> dict[str, Any]:
    if verdict.book is None:
        return {}
    return {"revision": verdict.book.revision, "reasons": verdict.book.why(verdict.state)}


_NET: Sequence[tuple[str, Callable[[EngineClock], Any]]] = (
    ("started_at", lambda c: c.started_at),
    ("stopped_at", lambda c: c.stopped_at),
    ("target", lambda c: c.target),
    ("elapsed", lambda c: c.elapsed),
    ("met", lambda c: c.breached_at is None),
)


def _write_records(
    tx: Transaction,
    tenant: int,
    judged: set[int],
    finished: Sequence[tuple[Promise, Ticket, EngineClock]],
    now: int,
    causes: Mapping[int, Sequence[str]],
    written: Written,
) -> None:
    if not judged:
        return
    existing = {(r.promise_id, r.metric, r.cycle): r for r in read_records(tx, tenant, judged)}
    corrected = latest_corrections(tx, tenant, judged) if existing else {}
    records, corrections = [], []
    true_now = {(p.id, c.metric, c.cycle): (p, t, c) for p, t, c in finished if p.id in judged}
    for key, (promise, ticket, clock) in true_now.items():
        record = existing.get(key)
        if record is None:
            records.append(_record_row(tenant, promise, ticket, clock, now))
            written.records.append(f"{ticket.external_id}:{clock.metric}:{clock.cycle}")
            continue
        net = {name: read(clock) for name, read in _NET}
        _correct(tenant, record, net, corrected, causes, now, corrections)
    for key, record in existing.items():
        if key not in true_now:
            _correct(tenant, record, None, corrected, causes, now, corrections)
    insert_records(tx, records)
    insert_corrections(tx, corrections)
    written.corrections = [f"{c['promise_id']}:{c['metric']}:{c['cycle']}" for c in corrections]


def _correct(
    tenant: int,
    record: Record,
    net: dict[str, Any] | None,
    corrected: Mapping[int, tuple[int, str]],
    causes: Mapping[int, Sequence[str]],
    now: int,
    corrections: list[dict[str, Any]],
) -> None:
    """Add a correction if what is true now differs from what the record and its corrections say."""
    said = {name: getattr(record, name) for name, _ in _NET}
    number, last = corrected.get(record.id, (0, _digest(said)))
    digest = _digest(net)
    if last == digest:
        return
    corrections.append(
        {
            "tenant_id": tenant,
            "id": new_id(),
            "record_id": record.id,
            "promise_id": record.promise_id,
            "metric": record.metric,
            "cycle": record.cycle,
            "number": number + 1,
            "digest": digest,
            "was": said,
            "now": net,
            "cause": {"events": list(causes.get(record.promise_id, ()))},
            "made_at": now,
        }
    )


def _digest(net: Mapping[str, Any] | None) -> str:
    return hashlib.sha256(json.dumps(net, sort_keys=True).encode()).hexdigest()


def _record_row(tenant: int, promise: Promise, ticket: Ticket, clock: EngineClock, now: int) -> dict[str, Any]:
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
