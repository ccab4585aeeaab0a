"""Evaluate locked promises and write what changed: mirror, clocks, records, corrections, alerts, commands. The heart of apply, time and sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sla_plugin.engine.clocks import LEVELS
from sla_plugin.engine.evaluate import Clock, Verdict, evaluate
from sla_plugin.engine.facts import DONE, Fact, translate
from sla_plugin.engine.policies import Book
from sla_plugin.ports import Words
from sla_plugin.services.judge_cycles import judge_cycles
from sla_plugin.services.outside import Outside
from sla_plugin.services.plan_commands import plan_breach
from sla_plugin.services.read_books import books_since, read_books
from sla_plugin.services.verdict_rows import OPEN_PHASES, alert_row, clock_row, ticket_row
from sla_plugin.store.alerts import insert_alerts
from sla_plugin.store.clocks import delete_clocks, read_clocks, same_clock, write_clocks
from sla_plugin.store.connections import Connection, list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import watermarks
from sla_plugin.store.events import read_histories
from sla_plugin.store.outbox import insert_commands
from sla_plugin.store.tenants import book_revision
from sla_plugin.store.tickets import Promise, Ticket, tickets_of, write_promises, write_tickets

GRACE = 5_000_000  # deliveries untried for longer than this hold a connection's clocks back


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


def verdict_of(promise: Promise, rows: Sequence[Any], books: Sequence[Book], words: Words, connection: Connection, as_of: int, settle: int) -> Verdict:
    """Evaluate one promise's stored history under the tenant's books at `as_of`."""
    return evaluate(
        facts_of(rows, words),
        books_since(books, promise.first_received_at),
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


@dataclass
class _Batch:
    """Rows to write for a batch of promises, gathered promise by promise, written set-wise."""

    tenant: int
    now: int
    revision: int
    promises: list[dict[str, Any]] = field(default_factory=list)
    tickets: list[dict[str, Any]] = field(default_factory=list)
    clocks: list[dict[str, Any]] = field(default_factory=list)
    vanished: list[int] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    finished: list[tuple[Promise, Ticket, Clock]] = field(default_factory=list)
    judged: set[int] = field(default_factory=set)  # promises whose records may have to be written or corrected

    def add(self, promise: Promise, ticket: Ticket, verdict: Verdict, stored: Mapping[tuple[str, int], Any]) -> None:
        """Gather what differs from what is stored."""
        cycles = {(c.metric, c.cycle) for c in verdict.clocks}
        for clock in verdict.clocks:
            self._add_clock(promise, ticket, clock, stored.get((clock.metric, clock.cycle)))
        gone = [row.id for key, row in stored.items() if key not in cycles]
        if gone:
            self.vanished += gone
            self.judged.add(promise.id)
        row = ticket_row(ticket, verdict, self.now)
        if row is not None:
            self.tickets.append(row)
        policy_id = verdict.terms.policy_id if verdict.terms else None
        chosen_before = promise.choice and promise.policy_id == policy_id and promise.book_revision == self.revision
        self.promises.append(
            {
                "id": promise.id,
                "next_transition_at": None if promise.history else verdict.next_transition_at,
                "book_revision": self.revision,
                "open": any(c.phase in OPEN_PHASES for c in verdict.clocks) or (verdict.state["status"] not in DONE and not verdict.gone),
                "history": promise.history,
                "horizon_at": verdict.as_of,
                "alerts_since": promise.alerts_since,
                "policy_id": policy_id,
                "choice": promise.choice if chosen_before else _choice(verdict),
            }
        )

    def _add_clock(self, promise: Promise, ticket: Ticket, clock: Clock, before: Any) -> None:
        row = clock_row(self.tenant, promise, ticket, clock)
        if before is None or not same_clock(before, row):
            self.clocks.append(row)
            if clock.phase == "finished" or (before is not None and not before.open):
                self.judged.add(promise.id)
        if clock.phase == "finished":
            self.finished.append((promise, ticket, clock))
        if not promise.history:
            self.alerts += [
                alert_row(self.tenant, promise, ticket, clock, level, self.now) for level in LEVELS if clock.passed.get(level, 0) > promise.alerts_since
            ]


def evaluate_promises(tx: Transaction, tenant: int, promises: Sequence[Promise], now: int, outside: Outside, causes: Mapping[int, Sequence[str]]) -> Written:
    """Evaluate promises that this transaction has locked, and write what changed.

    `causes`: promise -> keys of the events that made us look (none when time passed).
    """
    if not promises:
        return Written()
    ids = [p.id for p in promises]
    histories = read_histories(tx, tenant, ids)
    tickets = {t.promise_id: t for t in tickets_of(tx, tenant, ids)}
    stored: dict[int, dict[tuple[str, int], Any]] = {p: {} for p in ids}
    for row in read_clocks(tx, tenant, ids):
        stored[row.promise_id][row.metric, row.cycle] = row
    connections = {c.id: c for c in list_connections(tx, tenant)}
    words = {c: outside.words(connections[c]) for c in {p.connection_id for p in promises}}
    held_back = watermarks(tx, now - GRACE)

    batch = _Batch(tenant, now, book_revision(tx, tenant))
    books = read_books(tx, tenant)  # after the revision: one that comes in between is swept, not missed
    verdicts: dict[int, tuple[Promise, Verdict]] = {}
    for promise in promises:
        rows, connection = histories.get(promise.id, []), connections[promise.connection_id]
        if promise.history and _is_live(rows):
            promise.history, promise.alerts_since = False, now
        as_of = complete_until(promise, rows, now, held_back)
        verdict = verdict_of(promise, rows, books, words[connection.id], connection, as_of, outside.settle)
        verdicts[promise.id] = (promise, verdict)
        batch.add(promise, tickets[promise.id], verdict, stored[promise.id])

    write_clocks(tx, tenant, batch.clocks)
    delete_clocks(tx, tenant, batch.vanished)
    write_tickets(tx, tenant, batch.tickets)
    write_promises(tx, tenant, batch.promises)
    records, corrections = judge_cycles(tx, tenant, batch.judged, batch.finished, now, causes)
    fresh = insert_alerts(tx, tenant, batch.alerts)
    commands: list[dict[str, Any]] = []
    for promise_id, metric, cycle, level in sorted(fresh):
        promise, verdict = verdicts[promise_id]
        clock = next(c for c in verdict.clocks if (c.metric, c.cycle) == (metric, cycle))
        # an escalation is for a clock that still runs: nobody is told to hurry with what is done
        if level == "breach" and clock.phase in ("running", "on_hold"):
            connection = connections[promise.connection_id]
            capabilities = outside.connector(connection.connector).capabilities
            commands += plan_breach(tenant, connection, words[connection.id], capabilities, tickets[promise_id], verdict, clock, now)
    made = insert_commands(tx, tenant, commands)
    if any(c["state"] == "pending" for c in commands):
        tx.after_commit(outside.queue.wake_outbox)
    return Written(
        clocks=len(batch.clocks),
        records=[f"{r['external_id']}:{r['metric']}:{r['cycle']}" for r in records],
        corrections=[f"{tickets[c['promise_id']].external_id}:{c['metric']}:{c['cycle']}" for c in corrections],
        alerts=sorted(f"{tickets[p].external_id}:{metric}:{cycle}:{level}" for p, metric, cycle, level in fresh),
        commands=made,
        earliest=min((r["next_transition_at"] for r in batch.promises if r["next_transition_at"] is not None), default=None),
    )


def _is_live(rows: Sequence[Any]) -> bool:
    """The import of an imported ticket is over: it said so, or something happened that is not history."""
    return any(r.kind == "history.ended" or r.data.get("history_end") or (not r.data.get("history") and r.kind != "own.write") for r in rows)


def _choice(verdict: Verdict) -> dict[str, Any]:
    """Why this policy, for explain."""
    if verdict.book is None:
        return {}
    return {"revision": verdict.book.revision, "reasons": verdict.book.why(verdict.state)}
