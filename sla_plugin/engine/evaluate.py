"""The one function that decides: a promise's history and the books in force, up to an instant, give clocks, levels passed and the next transition.

It answers a webhook, the passing of time, a policy change, a replay, a what-if and an explanation. It is pure: the same facts give the same verdict in
whatever order they came.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sla_plugin.engine.clocks import LEVELS, Run, Span
from sla_plugin.engine.facts import DONE, Fact, in_order
from sla_plugin.engine.metrics.definitions import METRICS, Metric, MetricOptions
from sla_plugin.engine.policies import Book, Target, Terms

SETTLE = 4 * 86_400_000_000  # how long a stopped clock that may go on stays provisional
_EVENT_FACTS = ("event", "actor_role", "actor_is_requester", "opening", "public", "reopened")
_BARE = {name: METRICS[name](MetricOptions()) for name in METRICS}


@dataclass(frozen=True, slots=True)
class Clock:
    """One cycle of one metric as it stands at `as_of`.

    phase            pending, running, on_hold, stopped (provisional), finished, cancelled
    elapsed, counted counted time up to `counted_at`, and up to the beginning of the last span
    deadline_at      when the target is spent; None while the clock is held short of it
    deadline_next_open_at   the same in the next-opening convention
    passed           level -> the instant it was recorded (a breach: the first instant the target is exceeded, or when new terms made it past)
    spans            what the ledger is made of
    facets           the ticket as it was when the clock stopped (finished cycles)
    """

    metric: str
    cycle: int
    phase: str
    started_at: int
    stopped_at: int | None
    finished_at: int | None
    target: int | None
    business: bool
    elapsed: int
    counted: int
    counted_at: int
    deadline_at: int | None
    deadline_next_open_at: int | None
    warning_at: int | None
    critical_at: int | None
    passed: Mapping[str, int]
    terms: Terms | None
    cause: str
    spans: tuple[Span, ...]
    facets: Mapping[str, Any]

    @property
    def breached_at(self) -> int | None:
        """When the breach was recorded; None if the target was never exceeded."""
        return self.passed.get("breach")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true at `as_of`. `mirror` is the ticket with our own writes, `state` the ticket as others set it."""

    as_of: int
    clocks: tuple[Clock, ...]
    next_transition_at: int | None
    mirror: Mapping[str, Any]
    state: Mapping[str, Any]
    gone: str
    terms: Terms | None
    book: Book | None
    last_at: int | None
    history_ended: bool = False


@dataclass
class _Fold:
    """The state of a fold; `step` takes one fact."""

    settle: int
    metrics: frozenset[str]
    state: dict[str, Any] = field(default_factory=lambda: {"status": "open", "priority": "P2", "tags": ()})
    mirror: dict[str, Any] = field(default_factory=lambda: {"status": "open", "priority": "P2", "tags": ()})
    gone: str = ""
    book: Book | None = None
    terms: Terms | None = None
    runs: dict[str, Run] = field(default_factory=dict)  # the open cycle of a metric
    cycles: dict[str, int] = field(default_factory=dict)
    done: list[Run] = field(default_factory=list)
    last_at: int | None = None
    history_ended: bool = False

    def open_book(self, book: Book, at: int) -> None:
        """New terms come into force."""
        self.book = book
        self._choose(at)
        self._settle_clocks(at, {})

    def _choose(self, at: int) -> None:
        self.terms = self.book.choose(self.state) if self.book is not None else None

    def step(self, fact: Fact) -> None:
        """Take one fact."""
        self.last_at = fact.at
        self.history_ended = self.history_ended or fact.history_end
        for run in list(self.runs.values()):
            self._end_if_settled(run, fact.at)
        if fact.own:
            self.mirror.update(fact.sets)
            self._mirror_tags(fact)
            return
        was_done = self.state["status"] in DONE
        moved = self._apply(fact.sets)
        if fact.added or fact.removed:
            before = tuple(self.state["tags"])
            tags = tuple(t for t in before if t not in fact.removed) + tuple(t for t in fact.added if t not in before)
            moved |= self._apply({"tags": tags})
        if fact.gone is not None:
            self.gone = fact.gone
        if fact.seen and fact.seen_at is None:
            moved |= self._heal(fact.seen)
        if self.terms is None or (self.book is not None and moved & self.book.fields):
            self._choose(fact.at)
        requester = self.state.get("requester")
        self._settle_clocks(
            fact.at,
            {
                "event": fact.kind,
                "actor_role": fact.actor_role,
                "actor_is_requester": fact.actor_id is not None and requester is not None and str(requester) == str(fact.actor_id),
                "opening": fact.opening,
                "public": fact.public,
                "reopened": was_done and self.state["status"] not in DONE,
            },
            cause=fact.key,
        )

    def heal(self, seen: Mapping[str, Any], at: int, key: str) -> None:
        """The ticket as some delivery showed it at `at`: what differs from what we know was told by a delivery that is lost."""
        was_done = self.state["status"] in DONE
        moved = self._heal(seen)
        if moved:
            if self.book is not None and moved & self.book.fields:
                self._choose(at)
            self._settle_clocks(at, {"event": "ticket.observed", "reopened": was_done and self.state["status"] not in DONE}, cause=key)

    def _heal(self, seen: Mapping[str, Any]) -> set[str]:
        # the status of a merged or deleted ticket is a consequence, not a resolution
        return self._apply({k: v for k, v in seen.items() if self.mirror.get(k) != v and not (self.gone and k in ("status", "status_word"))})

    def _apply(self, sets: Mapping[str, Any]) -> set[str]:
        moved = set()
        for name, value in sets.items():
            if self.mirror.get(name) == value and name in self.mirror and self.state.get(name) != value:
                continue  # what our own write put there comes back: an echo
            self.mirror[name] = value
            if self.state.get(name) != value or name not in self.state:
                self.state[name] = value
                moved.add(name)
        return moved

    def _mirror_tags(self, fact: Fact) -> None:
        if fact.added:
            self.mirror["tags"] = (*self.mirror["tags"], *(t for t in fact.added if t not in self.mirror["tags"]))

    def _target(self, metric: str) -> Target | None:
        return self.terms.policy.target(metric, self.state["priority"]) if self.terms is not None else None

    def _metric(self, name: str) -> Metric:
        return (self.terms.policy.metrics.get(name) if self.terms is not None else None) or _BARE[name]

    def _settle_clocks(self, at: int, told: Mapping[str, Any], cause: str = "") -> None:
        """Start, hold, stop and re-target every metric's clock for what holds from `at` on."""
        seen = {**dict.fromkeys(_EVENT_FACTS), **self.state, **told}
        for name in self.metrics:
            metric, target = self._metric(name), self._target(name)
            terms = self.terms if target is not None else None
            run = self.runs.get(name)
            if run is None:
                if self.gone or (self.cycles.get(name) and metric.reopens == "never") or not metric.start.test(seen) or metric.stop.test(seen):
                    continue
                number = self.cycles[name] = self.cycles.get(name, 0) + 1
                run = self.runs[name] = Run(name, number, at, at, cause=cause, terms=terms, target=target, terms_at=at)
            stops = metric.stop.test(seen)
            if self.gone and run.state != "stopped":
                run.turn(at, "gone", cause, terms, target)
            elif run.state != "stopped" and metric.cancel.test(seen):
                run.turn(at, "stopped", cause, run.terms, run.target)
                run.cancelled = str(self.state["status"])
                self._finish(run, at)
            elif stops and run.state != "stopped":
                run.turn(at, "stopped", cause, run.terms, run.target)
                run.stopped_at = at
                run.facets = dict(self.state)
                if metric.reopens != "continue" or metric.close.test(seen):
                    self._finish(run, at)
            elif stops or (run.state == "stopped" and not told):
                if metric.close.test(seen):
                    self._finish(run, at)
            elif metric.hold is not None and metric.hold.test(seen):
                run.turn(at, "on_hold", cause, terms, target)
                run.stopped_at = None
            else:
                run.turn(at, "running", cause, terms, target)
                run.stopped_at = None

    def _end_if_settled(self, run: Run, at: int) -> None:
        if run.state == "stopped" and run.stopped_at is not None and at >= run.stopped_at + self.settle:
            self._finish(run, run.stopped_at + self.settle)

    def _finish(self, run: Run, at: int) -> None:
        run.finished_at = at
        self.done.append(self.runs.pop(run.metric))


def evaluate(facts: Sequence[Fact], books: Sequence[Book], as_of: int, *, settle: int = SETTLE, known_since: int | None = None) -> Verdict:
    """Fold a promise's history and say what is true at `as_of` (microseconds UTC); nothing breaches or finishes later than that.

    `books`: what was in force, by `since`; the first covers everything before. `known_since`: a ticket created after this instant whose creation was
    never told is taken as created when it says (`created_at`); an older one starts no clocks that count from creation.
    """
    ordered = in_order(facts)
    fold = _Fold(settle=settle, metrics=frozenset().union(*(b.metrics for b in books)))
    transitions: list[int] = []
    for at, _, act in _steps(ordered, books, fold, known_since):
        if at > as_of:
            transitions.append(at)  # a vendor's clock may run ahead: look again when it has happened
            break
        act()
    for run in list(fold.runs.values()):
        fold._end_if_settled(run, as_of)
    runs = sorted([*fold.done, *fold.runs.values()], key=lambda r: (r.started_at, r.metric, r.cycle))
    clocks = []
    for run in runs:
        clock, coming = _close(run, as_of, settle)
        if clock is not None:
            clocks.append(clock)
            transitions += coming
    return Verdict(
        as_of=as_of,
        clocks=tuple(clocks),
        next_transition_at=min(transitions) if transitions else None,
        mirror=fold.mirror,
        state=fold.state,
        gone=fold.gone,
        terms=fold.terms,
        book=fold.book,
        last_at=fold.last_at,
        history_ended=fold.history_ended,
    )


def _steps(facts: Sequence[Fact], books: Sequence[Book], fold: _Fold, known_since: int | None) -> list[Any]:
    """(instant, order, action) of facts, late snapshots, an implied creation and books, in order."""
    steps: list[Any] = []
    for number, fact in enumerate(facts):
        steps.append((fact.at, (2, number), lambda f=fact: fold.step(f)))
        if fact.seen and fact.seen_at is not None:
            steps.append((max(fact.seen_at, fact.at), (3, number), lambda f=fact: fold.heal(f.seen, max(f.seen_at, f.at), f.key)))
    if facts and not any(f.kind == "ticket.created" for f in facts):
        said = [c for f in facts for c in (f.seen.get("created_at"), f.sets.get("created_at")) if isinstance(c, int)]
        created = min(said, default=None)
        if created is not None and known_since is not None and created >= known_since:
            implied = Fact(key="implied:creation", kind="ticket.created", at=min(created, facts[0].at))
            steps.append((implied.at, (1, 0), lambda: fold.step(implied)))
    for number, book in enumerate(books):
        since = book.since if number else -(2**62)
        steps.append((since, (0, number), lambda b=book, s=since: fold.open_book(b, s)))
    steps.sort(key=lambda s: (s[0], s[1]))
    return steps


def _close(run: Run, as_of: int, settle: int) -> tuple[Clock | None, list[int]]:
    """A run as a clock at `as_of`, with the instants at which it will move by itself."""
    if run.terms is None and not any(s.terms is not None for s in run.spans):
        return None, []  # nothing was ever promised
    end = run.finished_at if run.finished_at is not None else as_of
    at = min(as_of, end)
    run.note_passed(at)
    if run.cancelled or run.state == "gone" or run.terms is None:
        phase = "cancelled"
    elif run.finished_at is not None:
        phase = "finished"
    else:
        phase = run.state
    instants = {level: run.instant_of(amount) for level in LEVELS if (amount := run.threshold(level)) is not None}
    next_open = run.instant_of(run.target.amount, exceeded=True) if run.target is not None else None
    coming: list[int] = []
    if phase == "running":
        coming = [i for level in ("warning", "critical") if level not in run.passed and (i := instants.get(level)) is not None]
        if "breach" not in run.passed and next_open is not None:
            coming.append(next_open + 1)
    elif phase == "stopped" and run.stopped_at is not None:
        coming = [run.stopped_at + settle]
    held = phase in ("on_hold", "cancelled")
    clock = Clock(
        metric=run.metric,
        cycle=run.cycle,
        phase=phase,
        started_at=run.started_at,
        stopped_at=run.stopped_at,
        finished_at=run.finished_at,
        target=run.target.amount if run.target is not None else None,
        business=run.target.business if run.target is not None else True,
        elapsed=run.elapsed(max(at, run.since)) if at >= run.since else run.counted,
        counted=run.counted,
        counted_at=at,
        deadline_at=None if held and "breach" not in run.passed else instants.get("breach"),
        deadline_next_open_at=None if held and "breach" not in run.passed else next_open,
        warning_at=instants.get("warning"),
        critical_at=instants.get("critical"),
        passed=dict(run.passed),
        terms=run.terms,
        cause=run.cause,
        spans=(*run.spans, run._open_span(max(at, run.since))),
        facets=run.facets,
    )
    return clock, coming
