"""The fold: a ticket's state and the clocks of a promise, taken forward fact by fact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.clocks import Run
from sla_plugin.engine.facts import DONE, Fact
from sla_plugin.engine.metrics.definitions import Metric
from sla_plugin.engine.policies import Book, Target, Terms

# What is true of the fact at hand only; conditions of metrics read it beside the ticket's fields.
_MOMENT: Mapping[str, Any] = {
    "event": None,
    "actor_role": None,
    "actor_is_requester": None,
    "opening": None,
    "public": None,
    "reopened": None,
    "moved": (),
}
_FRESH: Mapping[str, Any] = {"status": "open", "priority": "P2", "tags": ()}
_NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Slot:
    """One metric of a promise: how it runs and what is promised now, its open cycle, and how many cycles there were."""

    name: str
    bare: Metric
    metric: Metric
    target: Target | None = None
    terms: Terms | None = None
    run: Run | None = None
    cycles: int = 0


@dataclass(slots=True, eq=False)
class Fold:
    """The state of a fold.

    view       the ticket as others set it, with what is true of the fact at hand
    mirror     the ticket with our own writes
    finished   cycles that are over
    shown      the snapshot that the mirror agrees with; None where it may not
    """

    settle: int
    slots: list[Slot]
    view: dict[str, Any] = field(default_factory=lambda: {**_MOMENT, **_FRESH})
    mirror: dict[str, Any] = field(default_factory=lambda: dict(_FRESH))
    gone: str = ""
    book: Book | None = None
    terms: Terms | None = None
    finished: list[Run] = field(default_factory=list)
    provisional: int = 0  # how many open cycles are stopped
    begun: bool = False  # whether there was a fact
    history_ended: bool = False
    shown: Mapping[str, Any] | None = None

    @classmethod
    def begin(cls, books: Sequence[Book], settle: int) -> "Fold":
        """Before the first fact: a slot for every metric that any of the books promises."""
        metrics = books[0].metrics if len(books) == 1 else {name: metric for book in reversed(books) for name, metric in book.metrics.items()}
        return cls(settle, [Slot(name, metric, metric) for name, metric in metrics.items()])

    def state(self) -> dict[str, Any]:
        """The ticket as others set it."""
        state = dict(self.view)
        for name in _MOMENT:
            del state[name]
        return state

    def open_book(self, book: Book, at: int) -> None:
        """New terms come into force."""
        self.finish_settled(at)
        self.view.update(_MOMENT)
        self.choose_from(book)
        for slot in self.slots if self.begun else ():
            self._settle(slot, at, "", told=False)

    def choose_from(self, book: Book) -> None:
        """Take the terms of a book, without a look at the clocks."""
        self.book = book
        self._choose()

    def step(self, fact: Fact) -> None:
        """Take one fact."""
        at, view = fact.at, self.view
        if self.provisional:
            self.finish_settled(at)
        if fact.history_end:
            self.history_ended = True
        if fact.own:
            self._write_own(fact)
            return
        was_done = view["status"] in DONE
        moved = self._apply(fact.sets) if fact.sets else _NOTHING
        if fact.added or fact.removed:
            tags = tuple(t for t in view["tags"] if t not in fact.removed)
            moved = moved | self._apply({"tags": (*tags, *(t for t in fact.added if t not in tags))})
        if fact.gone is not None:
            self.gone, self.shown = fact.gone, None
        if fact.seen and fact.seen_at is None:
            moved = moved | self._heal(fact.seen)
        kind = fact.kind
        if kind == "ticket.created" and "created_at" not in view:
            view["created_at"] = at  # nobody said otherwise
        chosen = self._rechoose(moved)
        view["event"] = kind
        view["actor_role"] = fact.actor_role
        actor, requester = fact.actor_id, view.get("requester")
        view["actor_is_requester"] = actor is not None and requester is not None and (requester == actor or str(requester) == str(actor))
        view["opening"] = fact.opening
        view["public"] = fact.public
        view["reopened"] = was_done and view["status"] not in DONE
        view["moved"] = moved
        everyone = chosen or fact.gone is not None or not self.begun
        self.begun = True
        for slot in self.slots:
            kinds, fields, always = slot.metric.starts_on if slot.run is None else slot.metric.moves_on
            if everyone or always or (moved and not fields.isdisjoint(moved)):
                self._settle(slot, at, fact.key, told=True)
            elif kind in kinds:
                self._hear(slot, at, fact.key)
        if fact.extends is not None:
            self._extend(at, fact.key, *fact.extends)
        if fact.withdraws is not None:
            self._withdraw(at, fact.withdraws)

    def heal(self, seen: Mapping[str, Any], at: int, key: str) -> None:
        """The ticket as some delivery showed it at `at`: what differs from what we know was told by a delivery that is lost."""
        self.finish_settled(at)
        was_done = self.view["status"] in DONE
        moved = self._heal(seen)
        if not moved:
            return
        self._rechoose(moved)
        self.view.update(_MOMENT, event="ticket.observed", reopened=was_done and self.view["status"] not in DONE, moved=moved)
        for slot in self.slots:
            self._settle(slot, at, key, told=True)

    def finish_settled(self, at: int) -> None:
        """Finish what was stopped for the settle time by `at`."""
        for slot in self.slots if self.provisional else ():
            run = slot.run
            if run is not None and run.stopped_at is not None and at >= run.stopped_at + self.settle:
                self._finish(slot, run, run.stopped_at + self.settle)

    # --- the ticket ------------------------------------------------------------------------------------------------------
    def _apply(self, sets: Mapping[str, Any]) -> frozenset[str]:
        """Set fields as somebody told; the names of those that moved."""
        self.shown = None
        view, mirror = self.view, self.mirror
        moved = []
        for name, value in sets.items():
            if name in _MOMENT:
                continue
            known = name in mirror
            same = known and view.get(name) == value
            if known and not same and mirror[name] == value:
                continue  # what our own write put there comes back: an echo
            mirror[name] = value
            if not same or name not in view:
                view[name] = value
                moved.append(name)
        return frozenset(moved) if moved else _NOTHING

    def _heal(self, seen: Mapping[str, Any]) -> frozenset[str]:
        # the status of a merged or deleted ticket is a consequence, not a resolution
        if seen is self.shown:
            return _NOTHING
        mirror, gone = self.mirror, self.gone
        moved = self._apply({k: v for k, v in seen.items() if mirror.get(k) != v and not (gone and k in ("status", "status_word"))})
        self.shown = seen
        return moved

    def _write_own(self, fact: Fact) -> None:
        self.shown = None
        self.mirror.update(fact.sets)
        if fact.added:
            tags = self.mirror["tags"]
            self.mirror["tags"] = (*tags, *(t for t in fact.added if t not in tags))

    # --- the terms -------------------------------------------------------------------------------------------------------
    def _rechoose(self, moved: frozenset[str]) -> bool:
        """Choose again if what moved may decide; whether anything promised may have changed."""
        if self.book is not None and (self.terms is None or not self.book.fields.isdisjoint(moved)):
            before = self.terms
            self._choose()
            return before is not self.terms or "priority" in moved
        if "priority" in moved:
            self._promise()
            return True
        return False

    def _choose(self) -> None:
        self.terms = self.book.choose(self.view) if self.book is not None else None
        self._promise()

    def _promise(self) -> None:
        """What the terms promise for the ticket's priority."""
        terms, priority = self.terms, self.view["priority"]
        for slot in self.slots:
            target = terms.policy.target(slot.name, priority) if terms is not None else None
            slot.target, slot.terms = target, terms if target is not None else None
            slot.metric = terms.policy.metrics.get(slot.name, slot.bare) if terms is not None else slot.bare

    # --- the clocks ------------------------------------------------------------------------------------------------------
    def _settle(self, slot: Slot, at: int, cause: str, *, told: bool) -> None:
        """Start, hold, stop and re-target a metric's clock for what holds from `at` on; `told` by a fact (else by new terms)."""
        view, metric, run = self.view, slot.metric, slot.run
        if run is None:
            self._start(slot, at, cause)
            return
        stopped = run.state == "stopped"
        if self.gone and not stopped:
            run.turn(at, "gone", cause, slot.terms, slot.target)
        elif not stopped and metric.cancel.test(view):
            run.turn(at, "stopped", cause, run.terms, run.target)
            run.cancelled = True
            self._finish(slot, run, at)
        elif stopped:
            if metric.close.test(view) or metric.cancel.test(view):
                run.cancelled = not metric.close.test(view)
                self._finish(slot, run, at)
            elif told and not self.gone and metric.reopen.test(view):
                self.provisional -= 1
                run.stopped_at = None
                self._run_on(slot, run, at, cause)
        elif metric.stop.test(view):
            self._stop(slot, run, at, cause)
        else:
            self._run_on(slot, run, at, cause)

    def _hear(self, slot: Slot, at: int, cause: str) -> None:
        """An event that may start, stop or reopen a metric's clock, on a ticket that stands as it stood."""
        run = slot.run
        if run is None:
            self._start(slot, at, cause)
        elif run.state == "stopped":
            self._settle(slot, at, cause, told=True)
        elif not self.gone and slot.metric.stop.test(self.view):
            self._stop(slot, run, at, cause)

    def _start(self, slot: Slot, at: int, cause: str) -> None:
        view, metric = self.view, slot.metric
        if self.gone or (slot.cycles and metric.reopens == "never") or not metric.start.test(view):
            return
        if metric.cancel.test(view) or (not metric.restarts and metric.stop.test(view)):
            return
        slot.cycles += 1
        terms, target = slot.terms, slot.target
        hours = None if terms is None or target is None else terms.business_time if target.business else ALWAYS
        slot.run = Run(slot.name, slot.cycles, at, at, cause, terms, target, at, hours, view.get(metric.owner) if metric.owner else None)
        if metric.hold is not None and metric.hold.test(view):
            slot.run.state = "on_hold"

    def _run_on(self, slot: Slot, run: Run, at: int, cause: str) -> None:
        hold = slot.metric.hold
        run.turn(at, "on_hold" if hold is not None and hold.test(self.view) else "running", cause, slot.terms, slot.target)

    def _stop(self, slot: Slot, run: Run, at: int, cause: str) -> None:
        metric = slot.metric
        run.turn(at, "stopped", cause, run.terms, run.target)
        run.stopped_at = at
        run.facets = {**self.state(), metric.owner: run.owner} if metric.owner else self.state()
        self.provisional += 1
        if metric.reopens != "continue" or metric.close.test(self.view):
            self._finish(slot, run, at)
            if metric.restarts:
                self._start(slot, at, cause)

    def _finish(self, slot: Slot, run: Run, at: int) -> None:
        run.finished_at = at
        if run.stopped_at is not None:
            self.provisional -= 1
        slot.run = None
        self.finished.append(run)

    def _extend(self, at: int, key: str, metric: str | None, amount: int) -> None:
        for slot in self.slots:
            if slot.run is not None and slot.run.state != "stopped" and metric in (None, slot.name):
                slot.run.extend(at, key, amount)

    def _withdraw(self, at: int, key: str) -> None:
        for slot in self.slots:
            if slot.run is not None and slot.run.state != "stopped":
                slot.run.withdraw(at, key)
