"""One clock while history is folded over it: spans of time and what they count. All durations and instants are integer microseconds (UTC)."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sla_plugin.engine.business_time import ALWAYS, BusinessTime
from sla_plugin.engine.policies import Target, Terms

LEVELS = ("warning", "critical", "breach")


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

    def fork(self) -> "Run":
        """A copy that may go on while this one stays; the closed spans are shared."""
        return replace(self, earlier=[*self.earlier, *self.spans] if self.spans else self.earlier, spans=[], passed=dict(self.passed))

    def open_span(self, until: int) -> Span:
        """The last span, as if it ended at `until`."""
        until = max(until, self.since)
        counted = self.hours.between(self.since, until) if self.hours is not None and self.state == "running" else 0
        return Span(self.since, until, self.state, self.cause, self.terms, self._business, counted, self.counted)

    @property
    def _business(self) -> bool:
        return self.target is None or self.target.business

    def thresholds(self) -> tuple[int, int, int] | None:
        """Counted time at which LEVELS are reached (breach: exceeded); None if nothing is promised."""
        target, allowance = self.target, self.allowance
        if target is None:
            return None
        return target.warning + allowance, target.critical + allowance, target.amount + allowance

    def instant_of(self, amount: int, *, exceeded: bool = False) -> int | None:
        """When the counted time reaches `amount` (exceeded: the last instant before it is more); None if, held as it is, it never does."""
        hours = self.hours
        if amount > self.counted or (amount == self.counted and (exceeded or not amount)):
            if self.state != "running" or hours is None:
                # stopped in time: when it would have been due, had it run on
                last = self._last_counting() if self.state == "stopped" else None
                return _within(last, amount - last.before, exceeded) if last is not None else None
            deadline = hours.add(self.since, amount - self.counted)
            return hours.next_open(deadline) if exceeded else deadline
        for spans in (self.earlier, self.spans):
            if spans and spans[-1].before + spans[-1].counted >= amount + exceeded:
                # the first span that ends with as much; spans that count nothing end with what was there before
                find = bisect_right if exceeded else bisect_left
                span = spans[find(spans, amount, key=_end)]
                return _within(span, amount - span.before, exceeded)
        return None

    def _last_counting(self) -> Span | None:
        for spans in (self.spans, self.earlier):
            for span in reversed(spans):
                if span.state == "running" and span.terms is not None:
                    return span
        return None

    def note_passed(self, elapsed: int) -> None:
        """Record the levels that `elapsed` (counted up to now) passes; a level that new terms moved into the past is recorded when they came."""
        passed, thresholds = self.passed, self.thresholds()
        if thresholds is None or elapsed < thresholds[0] or len(passed) == len(LEVELS):
            return
        for level, amount in zip(LEVELS, thresholds, strict=True):
            breach = level == "breach"
            if level in passed or elapsed < amount or (breach and elapsed == amount):
                continue
            instant = self.instant_of(amount, exceeded=breach)
            if instant is not None:
                passed[level] = max(instant, self.terms_at)

    def turn(self, at: int, state: str, cause: str, terms: Terms | None, target: Target | None) -> None:
        """Close the open span at `at` and open one in a new state or under new terms."""
        same = terms is self.terms and (target is self.target or target == self.target)
        if same and state == self.state:
            return
        span = self.open_span(at)
        elapsed = self.counted + span.counted
        self.note_passed(elapsed)
        if at > self.since:
            self.spans.append(span)
            self.counted = elapsed
        self.since, self.state, self.cause = at, state, cause
        if not same:
            self._come_under(at, terms, target)

    def extend(self, at: int, amount: int) -> None:
        """Grant `amount` of counted time more from now on; levels already passed stay passed."""
        self.note_passed(self.counted + self.open_span(at).counted)
        self.allowance += amount

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
                self.spans, self.counted, self.allowance = [], 0, 0
            else:
                self.allowance = self.counted

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


def _within(span: Span, amount: int, exceeded: bool) -> int:
    """The instant at which a running span has counted `amount`."""
    if span.terms is None:
        return span.since
    hours = span.terms.business_time if span.business else ALWAYS
    deadline = hours.add(span.since, amount)
    return hours.next_open(deadline) if exceeded else deadline
