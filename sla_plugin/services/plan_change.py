"""What a policy file would do to open tickets: every open clock evaluated under the proposed book, beside how it stands. Nothing is written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from sla_plugin.engine.evaluate import Clock, Verdict, evaluate
from sla_plugin.engine.policies import Book
from sla_plugin.services.apply_policy_file import Change, PolicyFile, compare, read_stored
from sla_plugin.services.evaluate_promises import facts_of
from sla_plugin.services.outside import Outside
from sla_plugin.services.read_books import affected_policies, books_since, build_books
from sla_plugin.store.clocks import Clock as ClockRow
from sla_plugin.store.clocks import read_open_clocks
from sla_plugin.store.connections import list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.events import read_histories
from sla_plugin.store.policies import calendar_versions, policy_versions
from sla_plugin.store.tenants import book_revision
from sla_plugin.store.tickets import open_promises, ticket_names

OUTCOMES: Final = ("stays", "earlier", "later", "starts", "stops")
COUNTED: Final = (*OUTCOMES, "breached", "saved", "alerts")
_OPEN: Final = ("pending", "running", "on_hold")


class Standing(NamedTuple):
    """How a clock stands: under which policy, when it is due (microseconds UTC; None on hold), running, on_hold, warning, critical or breached."""

    policy: str | None
    due_at: int | None
    state: str
    left: int | None  # counted time between what was counted when the clock last changed and the target; orders clocks on hold


Standings = dict[tuple[str, int], Standing]  # by metric and cycle


class Move(NamedTuple):
    """An open clock that the change moves. `outcome` is one of OUTCOMES but stays; `now` is None for one that starts, `then` for one that stops matching."""

    promise: int
    ticket: str
    connection: str
    metric: str
    cycle: int
    outcome: str
    now: Standing | None
    then: Standing | None

    passes: tuple[str, ...] = ()  # levels (warning, critical, breach) that the change itself makes past

    @property
    def breaches(self) -> bool:
        """The change itself breaches it."""
        return self.then is not None and self.then.state == "breached" and (self.now is None or self.now.state != "breached")

    @property
    def saved(self) -> bool:
        """Breached now, and no more under the change."""
        return self.now is not None and self.now.state == "breached" and (self.then is None or self.then.state != "breached")

    @property
    def by(self) -> int | None:
        """How much later it is due, in microseconds as they pass; None where it is not due at an instant before and after."""
        if self.now is None or self.then is None or self.now.due_at is None or self.then.due_at is None:
            return None
        return self.then.due_at - self.now.due_at


@dataclass(frozen=True)
class Plan:
    """What a change would do to open clocks; finished ones never change.

    counts   how many clocks by outcome, how many the change itself breaches (`breached`) or takes out of breach (`saved`), and how many it makes pass
             a threshold, each of which is announced (`alerts`)
    moves    all that do not stay, worst first: breached by it, earlier, matching no more, later
    """

    change: Change
    computed_at: int
    promises: int
    clocks: int
    counts: Mapping[str, int]
    moves: Sequence[Move]


@dataclass(frozen=True)
class Proposal:
    """A change that could be made: the tenant's books with the proposed one last, as if it came into force at `now`; it follows on `revision`."""

    change: Change
    books: Sequence[Book]
    now: int
    revision: int

    @property
    def empty(self) -> bool:
        """It changes nothing."""
        return not self.change.calendars and not self.change.policies


@dataclass(frozen=True)
class Chunk:
    """A chunk of open promises compared: the last one's id, how many, the outcomes of their clocks, and the moves among these."""

    last: int
    promises: int
    counts: Mapping[str, int]
    moves: Sequence[Move]


def propose(tx: Transaction, tenant: int, file: PolicyFile, now: int) -> Proposal:
    """What the file would put in force at `now`. Raises InvalidDefinition as `apply_policy_file` does."""
    change = compare(file, read_stored(tx, tenant))
    revision = book_revision(tx, tenant)
    return Proposal(change, _with_proposed(tx, tenant, file, change, now, revision + 1), now, revision)


def plan_change(tx: Transaction, tenant: int, file: PolicyFile, now: int, outside: Outside, chunk: int = 250) -> Plan:
    """Compare every open clock as it stands with what the file would make of it from `now` on, `chunk` promises at a time.

    Raises InvalidDefinition as `apply_policy_file` does.

    Tickets of a running import are left out: their time is over before the change begins.
    """
    proposal = propose(tx, tenant, file, now)
    counts: Counter[str] = Counter()
    moves: list[Move] = []
    promises = last = 0
    while not proposal.empty and (found := compare_chunk(tx, tenant, proposal, outside, last, chunk)) is not None:
        last, promises = found.last, promises + found.promises
        counts.update(found.counts)
        moves += found.moves
    moves.sort(key=badness)
    return Plan(proposal.change, now, promises, sum(counts[outcome] for outcome in OUTCOMES), {name: counts[name] for name in COUNTED}, moves)


_WORST: Final = ("earlier", "stops", "starts", "later", "stays")


def badness(move: Move) -> tuple[Any, ...]:
    """Sorts moves, the worst first: breached by the change, earlier, promised nothing more, newly promised, later."""
    return not move.breaches, _WORST.index(move.outcome), move.by or 0, move.ticket, move.metric, move.cycle


def _with_proposed(tx: Transaction, tenant: int, file: PolicyFile, change: Change, now: int, revision: int) -> list[Book]:
    """The tenant's books with the proposed one last, as if it came into force at `now`."""
    policies, calendars = list(policy_versions(tx, tenant)), list(calendar_versions(tx, tenant))
    for stored, definitions, changed, key in (
        (calendars, file.calendars, change.calendars, "calendar_id"),
        (policies, file.policies, change.policies, "policy_id"),
    ):
        owners = {name: getattr(version, key) for name, version in stored}
        for number, (name, version) in enumerate(changed.items(), start=1):
            row = {
                "id": -number,
                key: owners.get(name, -number),
                "version": version,
                "definition": definitions[name],
                "effective_at": now,
                "revision": revision,
                "quiet": False,
            }
            stored.append((name, SimpleNamespace(**row)))
    return build_books(policies, calendars)


def compare_chunk(tx: Transaction, tenant: int, proposal: Proposal, outside: Outside, after: int, limit: int) -> Chunk | None:
    """The open clocks of the next `limit` promises after the id `after`, now and then; None if there are no more."""
    chunk = open_promises(tx, tenant, after, limit)
    if not chunk:
        return None
    books, now, current = proposal.books, proposal.now, proposal.revision
    connections = {c.id: c for c in list_connections(tx, tenant)}
    words = {c.id: outside.words(c) for c in connections.values() if c.connector in outside.connectors}
    policies = {terms.policy_id: terms.policy.name for book in books for terms in book.terms}
    affected = affected_policies(books, current + 1)
    ids = [p.id for p in chunk]
    names = ticket_names(tx, tenant, ids)
    stored: dict[int, Standings] = {p: {} for p in ids}
    for row in read_open_clocks(tx, tenant, ids):
        if row.phase in _OPEN:
            stored[row.promise_id][row.metric, row.cycle] = _standing(row, row.elapsed, policies.get(row.policy_id), now)
    # what the change cannot move stands as it does
    moved = {p.id for p in chunk if affected is None or p.book_revision != current or p.policy_id in affected}
    histories = read_histories(tx, tenant, moved)
    counts: Counter[str] = Counter()
    moves: list[Move] = []
    for promise in chunk:
        connection = connections[promise.connection_id]
        before = then = stored[promise.id]
        passes: Mapping[tuple[str, int], tuple[str, ...]] = {}
        if promise.id in moved:
            facts = facts_of(histories.get(promise.id, ()), words[connection.id])
            known_since = connection.created_at - 1_000_000
            in_force = books_since(books, promise.first_received_at)
            as_of = max(now, promise.horizon_at)
            if promise.book_revision != current:  # the sweep of an earlier change has not reached it
                before = _standings(evaluate(facts, in_force[:-1], as_of, settle=outside.settle, known_since=known_since), now)
            verdict = evaluate(facts, in_force, as_of, settle=outside.settle, known_since=known_since)
            then = _standings(verdict, now)
            # a level is passed at the very instant of a change only because of it
            passes = {(c.metric, c.cycle): tuple(level for level, at in c.passed.items() if at == now) for c in verdict.clocks if c.phase in _OPEN}
        for key in {**before, **then}:
            was, becomes = before.get(key), then.get(key)
            move = Move(promise.id, names[promise.id], connection.name, *key, _outcome(was, becomes), was, becomes, passes.get(key, ()))
            counts[move.outcome] += 1
            counts["breached"] += move.breaches
            counts["saved"] += move.saved
            counts["alerts"] += bool(move.passes)
            if move.outcome != "stays" or move.breaches or move.saved or move.passes:
                moves.append(move)
    return Chunk(chunk[-1].id, len(chunk), counts, moves)


def _standings(verdict: Verdict, now: int) -> Standings:
    return {(c.metric, c.cycle): _standing(c, c.counted, c.terms.policy.name if c.terms is not None else None, now) for c in verdict.clocks if c.phase in _OPEN}


def _standing(clock: Clock | ClockRow, counted: int, policy: str | None, now: int) -> Standing:
    # a breach that the timekeeper is about to record is not the change's doing
    due = clock.deadline_next_open_at
    breached = clock.breached_at is not None or (clock.phase == "running" and due is not None and due < now)
    state: str = clock.phase
    if breached:
        state = "breached"
    elif state == "running" and clock.critical_at is not None and clock.critical_at <= now:
        state = "critical"
    elif state == "running" and clock.warning_at is not None and clock.warning_at <= now:
        state = "warning"
    return Standing(policy, clock.deadline_at, state, None if clock.target is None else clock.target - counted)


def _outcome(was: Standing | None, becomes: Standing | None) -> str:
    if was is None or becomes is None:
        return "starts" if was is None else "stops"
    if was.due_at != becomes.due_at and was.due_at is not None and becomes.due_at is not None:
        return "earlier" if becomes.due_at < was.due_at else "later"
    if was.due_at is None and becomes.due_at is None and was.left is not None and becomes.left is not None and was.left != becomes.left:
        return "earlier" if becomes.left < was.left else "later"
    return "stays"
