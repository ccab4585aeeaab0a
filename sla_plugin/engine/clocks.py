"""One clock while history is folded over it: spans of time and what they count. All durations and instants are integer microseconds (UTC)."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sla_plugin.engine.business_time import ALWAYS, BusinessTime
from sla_plugin.engine.policies import Target, Terms

LEVELS = ("warning", "critical", "breach")
Instants = tuple[int | None, int | None, int | None, int | None]  # of warning, critical, deadline, and the deadline in the next-opening convention


class Span(NamedTuple):
    """A stretch of a clock's life.

    state     running, on_hold, stopped, gone, or set_aside (a restart took away what it counted)
    counted   what it counts: nothing unless it runs under terms
    before    what the clock had counted when it began
    """

    since: int
    until: int
    state: str
    cause: str
    terms: Terms | None
    business: bool
    counted: int
    before: int


@dataclass(slots=True, eq=False)
class Run:
    """A cycle of a metric.

    since, state     the open span; `counted` is over the closed ones
    earlier, spans   the closed spans: those shared with a checkpoint, never changed, and those since
    allowance        counted time granted beyond the target: extensions, and what had run when a policy counted anew from its change
    grants           the extensions in it, by the key of their event
    terms_at         since when the terms are what they are
    passed           level -> the instant it was recorded at
    """

    metric: str
    cycle: int
    started_at: int
    since: int
    cause: str = ""
    terms: Terms | None = None
    target: Target | None = None
    terms_at: int = 0
    hours: BusinessTime | None = None
    owner: Any = None
    state: str = "running"
    counted: int = 0
    allowance: int = 0
    earlier: Sequence[Span] = ()
    spans: list[Span] = field(default_factory=list)
    passed: dict[str, int] = field(default_factory=dict)
    stopped_at: int | None = None
    finished_at: int | None = None
    cancelled: bool = False
    facets: Mapping[str, Any] = field(default_factory=dict)
    grants: Mapping[str, int] = field(default_factory=dict)  # replaced, never changed

    def fork(self) -> "Run":
        """A copy that may go on while this one stays; the closed spans are shared."""
        return replace(self, earlier=[*self.earlier, *self.spans] if self.spans else self.earlier, spans=[], passed=dict(self.passed))

    def open_span(self, until: int) -> Span:
        """The last span, as if it ended at `until`."""
        since, target = self.since, self.target
        if until < since:
            until = since
        counted = self.hours.between(since, until) if self.state == "running" and self.hours is not None else 0
        return Span(since, until, self.state, self.cause, self.terms, target is None or target.business, counted, self.counted)

    def thresholds(self) -> tuple[int, int, int] | None:
        """Counted time at which LEVELS are reached (breach: exceeded); None if nothing is promised."""
        target, allowance = self.target, self.allowance
        if target is None:
            return None
        return target.warning + allowance, target.critical + allowance, target.amount + allowance

    def instants(self) -> Instants:
        """When the thresholds are reached, and when the deadline is in the next-opening convention; None for what, held as it is, never comes."""
        thresholds = self.thresholds()
        if thresholds is None:
            return None, None, None, None
        warning, critical, amount = thresholds
        if warning > self.counted:
            counting = self._counting()
            if counting is None:
                return None, None, None, None
        else:
            span = self._span_reaching(warning)
            if span is None or _end(span) <= amount:  # several spans share them
                return self.instant_of(warning), self.instant_of(critical), self.instant_of(amount), self.instant_of(amount, exceeded=True)
            counting = _counting_of(span)
        hours, since, counted = counting
        return hours.thresholds(since, warning - counted, critical - counted, amount - counted)

    def instant_of(self, amount: int, *, exceeded: bool = False) -> int | None:
        """When the counted time reaches `amount` (exceeded: the last instant before it is more); None if, held as it is, it never does."""
        if amount > self.counted or (amount == self.counted and exceeded):
            counting = self._counting()
            return None if counting is None else _within(counting, amount, exceeded)
        span = self._span_reaching(amount + exceeded)
        return None if span is None else _within(_counting_of(span), amount, exceeded)

    def _span_reaching(self, counted: int) -> Span | None:
        """The first closed span that ends with as much; spans that count nothing end with what was there before."""
        for spans in (self.earlier, self.spans):
            if spans and _end(spans[-1]) >= counted:
                return spans[bisect_left(spans, counted, key=_end)]
        return None

    def _counting(self) -> tuple[BusinessTime, int, int] | None:
        """By which hours the time from now on counts, since when, and what had counted by then; None if it does not count.

        A clock that was stopped in time is taken as if it had run on: its deadline is when it would have been due.
        """
        if self.state == "running":
            return (self.hours, self.since, self.counted) if self.hours is not None else None
        if self.state == "stopped":
            for spans in (self.spans, self.earlier):
                for span in reversed(spans):
                    if span.state == "running" and span.terms is not None:
                        return _counting_of(span)
        return None

    def note_passed(self, elapsed: int, instants: Instants | None = None) -> None:
        """Record the levels that `elapsed` (counted up to now) passes; a level that new terms moved into the past is recorded when they came.

        `instants` are the run's own, where they are known already.
        """
        target, passed = self.target, self.passed
        if target is None or elapsed < target.warning or len(passed) == len(LEVELS):
            return
        warning_at, critical_at, _, exceeded_at = instants or self.instants()
        for level, amount, instant in zip(LEVELS, self.thresholds() or (), (warning_at, critical_at, exceeded_at), strict=True):
            if level in passed or elapsed < amount or (level == "breach" and elapsed == amount):
                continue
            if instant is not None:
                passed[level] = max(instant, self.terms_at)

    def turn(self, at: int, state: str, cause: str, terms: Terms | None, target: Target | None) -> None:
        """Close the open span at `at` and open one in a new state or under new terms."""
        held = self.target
        same = terms is self.terms and (target is held or target == held)
        if same and state == self.state:
            return
        span = self.open_span(at)
        elapsed = self.counted + span.counted
        if held is not None and elapsed >= held.warning:
            self.note_passed(elapsed)
        if at > self.since:
            self.spans.append(span)
            self.counted = elapsed
        self.since, self.state, self.cause = at, state, cause
        if not same:
            self._come_under(at, terms, target)

    def extend(self, at: int, key: str, amount: int) -> None:
        """Grant `amount` of counted time more from now on, by the event `key`; levels already passed stay passed."""
        self.note_passed(self.counted + self.open_span(at).counted)
        self.allowance += amount
        self.grants = {**self.grants, key: amount}

    def withdraw(self, at: int, key: str) -> None:
        """Take back from now on what the event `key` granted; a level that this moves into the past is recorded now, never back-dated."""
        amount = self.grants.get(key, 0)
        if amount:
            self.note_passed(self.counted + self.open_span(at).counted)
            self.allowance -= amount
            self.grants = {k: v for k, v in self.grants.items() if k != key}
            self.terms_at = at

    def _come_under(self, at: int, terms: Terms | None, target: Target | None) -> None:
        """New terms from `at` on; what has run is kept, set aside, or granted on top, as the policy says."""
        before, had = self.terms, self.target
        self.terms, self.target, self.terms_at = terms, target, at
        self.hours = None if terms is None or target is None else terms.business_time if target.business else ALWAYS
        if terms is None or target is None or at == self.started_at:
            return
        mode = terms.policy.on_change
        if mode == "keep":
            if before is None:
                self._measure_from_start(terms, target)
        elif before is None or not _same_promise(before, had, terms, target):
            if mode == "restart":
                self.earlier = [_set_aside(span) for span in (*self.earlier, *self.spans)]
                self.spans, self.counted, self.allowance, self.grants = [], 0, 0, {}
            else:
                self.allowance, self.grants = self.counted, {}

    def _measure_from_start(self, terms: Terms, target: Target) -> None:
        """A policy that comes late measures from the metric's own start: time that nobody had promised counts under it."""
        spans: list[Span] = []
        self.counted = 0
        for span in (*self.earlier, *self.spans):
            if span.terms is None:
                counted = self.hours.between(span.since, span.until) if span.state == "running" and self.hours is not None else 0
                span = span._replace(terms=terms, business=target.business, counted=counted)
            spans.append(span._replace(before=self.counted))
            self.counted += span.counted
        self.earlier, self.spans = spans, []


def _same_promise(before: Terms, had: Target | None, terms: Terms, target: Target) -> bool:
    """Whether new terms promise the same: a new version that only says it in other words changes nothing."""
    return (
        had is not None
        and (before.policy_id, before.business_time) == (terms.policy_id, terms.business_time)
        and (had.amount, had.business) == (target.amount, target.business)
    )


def _set_aside(span: Span) -> Span:
    state = "set_aside" if span.state == "running" and span.terms is not None else span.state
    return span._replace(state=state, counted=0, before=0)


def _end(span: Span) -> int:
    return span.before + span.counted


def _counting_of(span: Span) -> tuple[BusinessTime, int, int]:
    hours = span.terms.business_time if span.business and span.terms is not None else ALWAYS
    return hours, span.since, span.before


def _within(counting: tuple[BusinessTime, int, int], amount: int, exceeded: bool) -> int:
    """When the clock has counted `amount`."""
    hours, since, before = counting
    deadline = hours.add(since, amount - before)
    return hours.next_open(deadline) if exceeded else deadline
