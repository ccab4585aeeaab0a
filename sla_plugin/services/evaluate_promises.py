"""Evaluate locked promises and write what changed: mirror, clocks, records, corrections, alerts, commands. The heart of apply, time and sweep."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sla_plugin.engine.evaluate import Clock, Verdict, evaluate
from sla_plugin.engine.facts import DONE, Fact, translate
from sla_plugin.engine.policies import Book
from sla_plugin.ports import Words
from sla_plugin.services.judge_cycles import judge_cycles
from sla_plugin.services.outside import Outside
from sla_plugin.services.plan_commands import plan_breach
from sla_plugin.services.read_books import books_since, read_books
from sla_plugin.services.read_facts import LONG, FactReader, Ground, History, checkpoint_row, read_facts
from sla_plugin.services.tell import tell_alerts
from sla_plugin.services.verdict_rows import OPEN_PHASES, alert_row, clock_row, clock_values, ticket_row
from sla_plugin.store.alerts import Key, insert_alerts, settle_alerts
from sla_plugin.store.checkpoints import write_checkpoints
from sla_plugin.store.clocks import delete_clocks, read_clocks, same_clock, write_clocks
from sla_plugin.store.connections import Connection, list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import watermarks
from sla_plugin.store.outbox import insert_commands
from sla_plugin.store.tenants import book_revision
from sla_plugin.store.ticket_words import words_of, write_words
from sla_plugin.store.tickets import TICKING, Promise, Ticket, tickets_of, write_promises, write_tickets

GRACE = 5_000_000  # deliveries untried for longer than this hold a connection's clocks back
Causes = Mapping[int, Mapping[str, int]]  # promise -> key of an event that is new to it -> when that happened


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


def ground_of(promise: Promise, connection: Connection, books: Sequence[Book], words: Words, settle: int) -> Ground:
    """What a promise's history is folded on: the tenant's books that concern it, its connection's words; the settle time in microseconds."""
    # a vendor's creation instant may be cut to the second
    return Ground(books_since(books, promise.first_received_at), words, settle, connection.created_at - 1_000_000)


def verdict_of(promise: Promise, rows: Sequence[Any], books: Sequence[Book], words: Words, connection: Connection, as_of: int, settle: int) -> Verdict:
    """Evaluate one promise's stored history, all of it, under the tenant's books at `as_of`."""
    ground = ground_of(promise, connection, books, words, settle)
    return evaluate(facts_of(rows, words), ground.books, as_of, settle=ground.settle, known_since=ground.known_since)


def complete_until(promise: Promise, rows: Sequence[Any], now: int, held_back: Mapping[int, int]) -> int:
    """Up to which instant the facts of a promise are complete; `held_back`: connection -> watermark."""
    return _complete_until(promise, max((r.occurred_at for r in rows), default=None), now, held_back)


def _complete_until(promise: Promise, latest: int | None, now: int, held_back: Mapping[int, int]) -> int:
    as_of = now
    if promise.history:
        as_of = now if latest is None else latest
    elif promise.connection_id in held_back:
        as_of = min(now, held_back[promise.connection_id])
    return max(as_of, promise.horizon_at)


@dataclass
class _Batch:
    """Rows to write for a batch of promises, gathered promise by promise, written set-wise."""

    tenant: int
    now: int
    revision: int
    moved: list[dict[str, Any]] = field(default_factory=list)  # promises under the policy and book that they were under: when each moves next
    chosen: list[dict[str, Any]] = field(default_factory=list)  # the others, with their choice
    begun: list[dict[str, Any]] = field(default_factory=list)  # those whose import is over
    tickets: list[dict[str, Any]] = field(default_factory=list)
    clocks: list[dict[str, Any]] = field(default_factory=list)
    vanished: list[int] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    finished: list[tuple[Promise, Ticket, Clock]] = field(default_factory=list)
    judged: set[int] = field(default_factory=set)  # promises whose records may have to be written or corrected
    frozen: dict[int, Mapping[str, int]] = field(default_factory=dict)  # promise -> metric -> cycles that a checkpoint holds: they never change
    quiet: frozenset[int] = frozenset()  # instants of changes that announce nothing: what passed then, they made past
    words: dict[int, tuple[Collection[str], Collection[str]]] = field(default_factory=dict)  # ticket -> the words it was found by, and is now
    resolved: dict[Key, int | None] = field(default_factory=dict)  # clocks with alerts that stopped (when), or tick again (None)

    def add(self, promise: Promise, ticket: Ticket, verdict: Verdict, stored: Mapping[tuple[str, int], Any]) -> None:
        """Gather what differs from what is stored."""
        for clock in verdict.clocks:
            self._add_clock(promise, ticket, clock, stored.get((clock.metric, clock.cycle)))
        if stored:
            cycles = {(c.metric, c.cycle) for c in verdict.clocks}
            gone = [row.id for key, row in stored.items() if key not in cycles]
            if gone:
                self.resolved |= {(promise.id, *key): self.now for key in stored.keys() - cycles}
                self.vanished += gone
                self.judged.add(promise.id)
        if verdict.frozen:
            self.frozen[promise.id] = verdict.frozen
        row = ticket_row(ticket, verdict, self.now)
        if row is not None:
            self.tickets.append(row)
            fresh = ticket.standing is None  # not in lists yet, so without words
            if fresh or row["subject"] != ticket.subject or row["organization"] != ticket.organization:
                before = () if fresh else words_of(ticket.external_id, ticket.subject, ticket.organization)
                self.words[ticket.id] = (before, words_of(ticket.external_id, row["subject"], row["organization"]))
        policy_id = verdict.terms.policy_id if verdict.terms else None
        is_open = any(c.phase in OPEN_PHASES for c in verdict.clocks) or (verdict.state["status"] not in DONE and not verdict.gone)
        moved: dict[str, Any] = {
            "id": promise.id,
            "next_transition_at": None if promise.history else verdict.next_transition_at,
            "open": is_open,
            "horizon_at": verdict.as_of,
            "settled_at": None if is_open else verdict.as_of,
            "stripped": 0,  # whatever is new may bring texts
        }
        if promise.choice and promise.policy_id == policy_id and promise.book_revision == self.revision:
            self.moved.append(moved)
        else:
            self.chosen.append({**moved, "book_revision": self.revision, "policy_id": policy_id, "choice": _choice(verdict)})

    def _add_clock(self, promise: Promise, ticket: Ticket, clock: Clock, before: Any) -> None:
        values = clock_values(promise, ticket, clock)
        same = before is not None and same_clock(before, values)
        if not same:
            self.clocks.append(clock_row(self.tenant, values))
            if clock.phase == "finished" or (before is not None and not before.open):
                self.judged.add(promise.id)
            ticks = clock.phase in TICKING
            if (clock.passed or (before is not None and before.breached_at is not None)) and (before is None or (before.phase in TICKING) != ticks):
                self.resolved[promise.id, clock.metric, clock.cycle] = None if ticks else clock.stopped_at or clock.finished_at or self.now
        if clock.phase == "finished":
            self.finished.append((promise, ticket, clock))
        if clock.passed and not promise.history:
            self.alerts += [
                alert_row(self.tenant, promise, ticket, clock, level, self.now)
                for level, at in clock.passed.items()
                if at > promise.alerts_since
                and at not in self.quiet
                and not (at <= promise.horizon_at and before is not None and _known(before, same, level, at))
            ]


def _known(before: Any, same: bool, level: str, at: int) -> bool:
    """Whether a level that was passed by the last evaluation was passed at that instant then, too, and so announced: surely enough not to try again."""
    if same:
        return True
    if level == "breach":
        return bool(before.breached_at == at)
    return bool(before.phase == "running" and (before.warning_at if level == "warning" else before.critical_at) == at)


def evaluate_promises(tx: Transaction, tenant: int, promises: Sequence[Promise], now: int, outside: Outside, causes: Causes) -> Written:
    """Evaluate promises that this transaction has locked, and write what changed.

    `causes`: the events that are new to them, every one of them (none when time passed): a checkpoint later than one of these does not fit any more.
    """
    if not promises:
        return Written()
    ids = [p.id for p in promises]
    connections = {c.id: c for c in list_connections(tx, tenant)}
    words = {c: outside.words(connections[c]) for c in {p.connection_id for p in promises}}
    held_back = watermarks(tx, now - GRACE)

    batch = _Batch(tenant, now, book_revision(tx, tenant))
    books = read_books(tx, tenant)  # after the revision: one that comes in between is swept, not missed
    batch.quiet = frozenset(book.since for book in books if book.quiet)
    readers = {c: FactReader(said) for c, said in words.items()}
    grounds = {p.id: ground_of(p, connections[p.connection_id], books, words[p.connection_id], outside.settle) for p in promises}
    histories = read_facts(
        tx, tenant, grounds, {p.id: readers[p.connection_id] for p in promises}, {promise: min(told.values()) for promise, told in causes.items() if told}
    )
    tickets = {t.promise_id: t for t in tickets_of(tx, tenant, ids)}
    stored: dict[int, dict[tuple[str, int], Any]] = {p: {} for p in ids}
    for row in read_clocks(tx, tenant, ids, {p: h.checkpoint.frozen for p, h in histories.items() if h.checkpoint is not None}):
        stored[row.promise_id][row.metric, row.cycle] = row

    verdicts: dict[int, tuple[Promise, Verdict]] = {}
    checkpoints: list[dict[str, Any]] = []
    for promise in promises:
        history, ground = histories.get(promise.id) or History(), grounds[promise.id]
        if promise.history and history.live:
            promise.history, promise.alerts_since = False, now
            batch.begun.append({"id": promise.id, "history": False, "alerts_since": now})
        as_of = _complete_until(promise, history.latest if promise.history else None, now, held_back)
        verdict = evaluate(history.facts, ground.books, as_of, settle=ground.settle, known_since=ground.known_since, checkpoint=history.checkpoint)
        verdicts[promise.id] = (promise, verdict)
        batch.add(promise, tickets[promise.id], verdict, stored[promise.id])
        if len(history.facts) > LONG and (kept := checkpoint_row(tenant, promise.id, history, ground, as_of)) is not None:
            checkpoints.append(kept)

    write_checkpoints(tx, tenant, checkpoints)
    write_clocks(tx, tenant, batch.clocks)
    delete_clocks(tx, tenant, batch.vanished)
    write_tickets(tx, tenant, batch.tickets)
    write_words(tx, tenant, batch.words)
    write_promises(tx, tenant, batch.moved, batch.chosen, batch.begun)
    records, corrections = judge_cycles(tx, tenant, batch.judged, batch.finished, now, causes, batch.frozen)
    fresh = insert_alerts(tx, tenant, batch.alerts)
    settle_alerts(tx, tenant, {(promise, metric, cycle) for promise, metric, cycle, _ in fresh}, batch.resolved)
    tell_alerts(tx, tenant, fresh, {promise: ticket.external_id for promise, ticket in tickets.items()})
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
        earliest=min((r["next_transition_at"] for r in (*batch.moved, *batch.chosen) if r["next_transition_at"] is not None), default=None),
    )


def _choice(verdict: Verdict) -> dict[str, Any]:
    """Why this policy, for explain."""
    if verdict.book is None:
        return {}
    return {"revision": verdict.book.revision, "reasons": verdict.book.why(verdict.state)}
