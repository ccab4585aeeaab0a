"""The one function that decides: a promise's history and the books in force, up to an instant, give clocks, levels passed and the next transition.

It answers a webhook, the passing of time, a policy change, a replay, a what-if and an explanation. It is pure: the same facts give the same verdict in
whatever order they came.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sla_plugin.engine.business_time import NEVER
from sla_plugin.engine.checkpoints import Checkpoint
from sla_plugin.engine.clocks import Run, Span
from sla_plugin.engine.facts import Fact, in_order
from sla_plugin.engine.fold import Fold
from sla_plugin.engine.policies import Book, Terms

SETTLE = 4 * 86_400_000_000  # how long a stopped clock that may go on stays provisional


class Clock(NamedTuple):
    """One cycle of one metric as it stands at `as_of`.

    phase            pending, running, on_hold, stopped (provisional), finished, cancelled
    target           counted time that is promised, with what was granted on top
    allowance        the part of it that was granted on top: extensions, or what had run when a policy counted anew from its change
    elapsed, counted counted time up to `counted_at`, and up to `since`, the beginning of the last span
    deadline_at      when the target is spent; None while the clock is held short of it
    deadline_next_open_at   the same in the next-opening convention
    passed           level -> the instant it was recorded (a breach: the first instant the target is exceeded, or when new terms made it past)
    pieces           spans in several sequences (see `spans`)
    facets           the ticket as it was when the clock stopped
    owner            whose cycle it is, for metrics that have owners (group ownership: the group)
    grants           extensions by hand that the target holds: event key -> counted time
    """

    metric: str
    cycle: int
    phase: str
    started_at: int
    stopped_at: int | None
    finished_at: int | None
    target: int | None
    allowance: int
    business: bool
    elapsed: int
    counted: int
    counted_at: int
    since: int
    deadline_at: int | None
    deadline_next_open_at: int | None
    warning_at: int | None
    critical_at: int | None
    passed: Mapping[str, int]
    terms: Terms | None
    cause: str
    pieces: tuple[Sequence[Span], ...]
    facets: Mapping[str, Any]
    owner: Any
    grants: Mapping[str, int]

    @property
    def title(self) -> str:
        """The metric in words."""
        metric = self.terms.policy.metrics.get(self.metric) if self.terms is not None else None
        return metric.title if metric is not None else self.metric.replace("_", " ").capitalize()

    @property
    def spans(self) -> tuple[Span, ...]:
        """What the ledger is made of, from the start to `counted_at`."""
        return tuple(chain.from_iterable(self.pieces))

    @property
    def granted(self) -> int:
        """How much of the target was granted by hand."""
        return sum(self.grants.values())

    @property
    def breached_at(self) -> int | None:
        """When the breach was recorded; None if the target was never exceeded."""
        return self.passed.get("breach")


class Verdict(NamedTuple):
    """What is true at `as_of`. `mirror` is the ticket with our own writes, `state` the ticket as others set it.

    `frozen`: metric -> how many of its first cycles were finished before the checkpoint; they never change and are not among `clocks`.
    """

    as_of: int
    clocks: tuple[Clock, ...]
    next_transition_at: int | None
    mirror: Mapping[str, Any]
    state: Mapping[str, Any]
    gone: str
    terms: Terms | None
    book: Book | None
    last_at: int | None
    history_ended: bool
    frozen: Mapping[str, int]


def evaluate(
    facts: Sequence[Fact],
    books: Sequence[Book],
    as_of: int,
    *,
    settle: int = SETTLE,
    known_since: int | None = None,
    checkpoint: Checkpoint | None = None,
) -> Verdict:
    """Fold a promise's history and say what is true at `as_of` (microseconds UTC); nothing breaches or finishes later than that.

    `books`: what was in force, by `since`; the first covers everything before. `known_since`: a ticket created after this instant whose creation was
    never told is taken as created when it says (`created_at`); an older one starts no clocks that count from creation. `checkpoint`: a fold of all that
    happened up to its instant; `facts` are then the later ones only. Raises ValueError where it does not fit them (`Checkpoint.fits` asks before).
    """
    fold, last_at, upcoming = folded(facts, books, as_of, settle, known_since, checkpoint)
    fold.finish_settled(as_of)
    runs = fold.finished + [slot.run for slot in fold.slots if slot.run is not None]
    runs.sort(key=_in_time)
    clocks: list[Clock] = []
    for run in runs:
        if run.terms is None and all(span.terms is None for span in chain(run.earlier, run.spans)):
            continue  # nothing was ever promised
        clock = _clock(run, as_of)
        clocks.append(clock)
        moves_at = _moves_at(clock, settle)
        if moves_at is not None and moves_at < NEVER and (upcoming is None or moves_at < upcoming):
            upcoming = moves_at
    return Verdict(
        as_of=as_of,
        clocks=tuple(clocks),
        next_transition_at=upcoming,
        mirror=fold.mirror,
        state=fold.state(),
        gone=fold.gone,
        terms=fold.terms,
        book=fold.book,
        last_at=last_at,
        history_ended=fold.history_ended,
        frozen=checkpoint.frozen if checkpoint is not None else {},
    )


def make_checkpoint(
    facts: Sequence[Fact],
    books: Sequence[Book],
    upto: int,
    *,
    settle: int = SETTLE,
    known_since: int | None = None,
    checkpoint: Checkpoint | None = None,
) -> Checkpoint | None:
    """A fold of all that happened up to `upto` (microseconds UTC), to go on from; arguments as for `evaluate`.

    None where a snapshot told by then shows the ticket as it is later: it must be folded in its turn.
    """
    facts = [f for f in in_order(facts) if f.at <= upto]
    if any(f.seen_at is not None and f.seen_at > upto for f in facts):
        return None
    fold, last_at, _ = folded(facts, books, upto, settle, known_since, checkpoint)
    creation = checkpoint.creation if checkpoint is not None else ""
    if not creation and (any(f.kind == "ticket.created" for f in facts)):
        creation = "told"
    return Checkpoint.of(fold, upto, last_at, creation)


def folded(
    facts: Sequence[Fact], books: Sequence[Book], as_of: int, settle: int, known_since: int | None, checkpoint: Checkpoint | None
) -> tuple[Fold, int | None, int | None]:
    """The fold of all that happened up to `as_of`, the instant of its last fact, and that of the first one still to come."""
    if as_of.__class__ is not int:
        raise TypeError(f"as_of is {as_of!r}; instants are whole microseconds since 1970 UTC")
    ordered = in_order(facts)
    if checkpoint is not None:
        if not checkpoint.fits(ordered, books):
            raise ValueError(f"facts or books up to {checkpoint.at} changed: evaluate without the checkpoint")
        fold, last_at, coming = checkpoint.resume(), checkpoint.last_at, [b for b in books[1:] if b.since > checkpoint.at]
    else:
        fold, last_at, coming = Fold.begin(books, settle), None, list(books[1:])
        fold.book = books[0] if books else None
        if (implied := _implied_creation(ordered, known_since)) is not None:
            ordered = in_order([implied, *ordered])
    snapshots = sorted((max(f.seen_at, f.at), n) for n, f in enumerate(ordered) if f.seen_at is not None and f.seen)
    if not snapshots and not coming:  # nearly always
        for fact in ordered:
            at = fact.at
            if at > as_of:
                return fold, last_at, at
            fold.step(fact)
            last_at = at
        return fold, last_at, None
    steps: list[tuple[int, int, int]] = [(b.since, 0, n) for n, b in enumerate(coming)]  # at one instant: books, facts, snapshots
    steps += [(f.at, 1, n) for n, f in enumerate(ordered)]
    steps += [(at, 2, n) for at, n in snapshots]
    for at, what, number in sorted(steps):
        if at > as_of:
            return fold, last_at, at
        if what == 0:
            fold.open_book(coming[number], at)
        elif what == 1:
            fold.step(ordered[number])
            last_at = at
        else:
            fold.heal(ordered[number].seen, at, ordered[number].key)
    return fold, last_at, None


def _implied_creation(facts: Sequence[Fact], known_since: int | None) -> Fact | None:
    """The creation of a ticket that nobody told of, if later facts say when it was and that is not before `known_since`."""
    if known_since is None or not facts or facts[0].kind == "ticket.created" or any(f.kind == "ticket.created" for f in facts):
        return None
    said = [at for f in facts for at in (f.seen.get("created_at"), f.sets.get("created_at")) if isinstance(at, int)]
    if not said or min(said) < known_since:
        return None
    return Fact(key="implied:creation", kind="ticket.created", at=min(*said, facts[0].at))


def _in_time(run: Run) -> tuple[int, str, int]:
    return run.started_at, run.metric, run.cycle


def _clock(run: Run, as_of: int) -> Clock:
    """A run as a clock at `as_of`."""
    at = as_of if run.finished_at is None or run.finished_at > as_of else run.finished_at
    last = run.open_span(at)
    elapsed = run.counted + last.counted
    instants = run.instants()
    run.note_passed(elapsed, instants)
    phase = run.state if run.finished_at is None else "finished"
    if run.cancelled or run.state == "gone" or run.terms is None:
        phase = "cancelled"
    warning_at, critical_at, deadline_at, next_open_at = instants
    shown = "breach" in run.passed or phase not in ("on_hold", "cancelled")
    return Clock(
        run.metric,
        run.cycle,
        phase,
        run.started_at,
        run.stopped_at,
        run.finished_at,
        None if run.target is None else run.target.amount + run.allowance,
        run.allowance,
        last.business,
        elapsed,
        run.counted,
        at,
        run.since,
        deadline_at if shown else None,
        next_open_at if shown else None,
        warning_at,
        critical_at,
        run.passed,
        run.terms,
        run.cause,
        (run.earlier, run.spans, (last,)),
        run.facets,
        run.owner,
        run.grants,
    )


def _moves_at(clock: Clock, settle: int) -> int | None:
    """When the clock will move by itself; None if it will not."""
    passed = clock.passed
    if clock.phase == "running":
        if "warning" not in passed and clock.warning_at is not None:
            return clock.warning_at
        if "critical" not in passed and clock.critical_at is not None:
            return clock.critical_at
        if "breach" not in passed and clock.deadline_next_open_at is not None:
            return clock.deadline_next_open_at + 1
    elif clock.phase == "stopped" and clock.stopped_at is not None:
        return clock.stopped_at + settle
    return None
