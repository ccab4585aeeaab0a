"""One running clock: spans of time and what they count. All durations and instants are integer microseconds (UTC)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sla_plugin.engine.policies import Target, Terms

LEVELS = ("warning", "critical", "breach")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a clock's life. `state` is running, on_hold, stopped or gone; it counts only where running under terms."""

    since: int
    until: int
    state: str
    cause: str
    terms: Terms | None
    business: bool


@dataclass
class Run:
    """A cycle while history is folded over it."""

    metric: str
    cycle: int
    started_at: int
    since: int
    state: str = "running"
    cause: str = ""
    terms: Terms | None = None
    target: Target | None = None
    terms_at: int = 0
    counted: int = 0  # over closed spans
    spans: list[Span] = field(default_factory=list)
    passed: dict[str, int] = field(default_factory=dict)  # level -> the instant it was recorded at
    stopped_at: int | None = None
    finished_at: int | None = None
    cancelled: str | None = None
    facets: Mapping[str, Any] = field(default_factory=dict)  # the ticket when the run stopped

    def _open_span(self, until: int) -> Span:
        return Span(self.since, until, self.state, self.cause, self.terms, self.target.business if self.target else True)

    def elapsed(self, at: int) -> int:
        """Counted time up to `at`, which is not before the open span."""
        return self.counted + count(self._open_span(at))

    def threshold(self, level: str) -> int | None:
        """Counted time at which a level is reached (breach: exceeded)."""
        if self.target is None or self.terms is None:
            return None
        if level == "breach":
            return self.target.amount
        percent = self.terms.policy.warning if level == "warning" else self.terms.policy.critical
        return -(-self.target.amount * percent // 100)

    def instant_of(self, amount: int, *, exceeded: bool = False) -> int | None:
        """When the counted time reaches `amount` (or first exceeds it); None if, held as it is, it never does."""
        total = 0
        last: tuple[Span, int] | None = None
        for span in self.spans:
            here = count(span)
            if total + here > amount or (total + here == amount and not exceeded):
                return within(span, amount - total, exceeded=exceeded)
            if span.state == "running" and span.terms is not None:
                last = (span, total)
            total += here
        if self.state == "running" and self.terms is not None:
            return within(self._open_span(self.since), amount - total, exceeded=exceeded)
        if self.state == "stopped" and last is not None:
            # stopped in time: when it would have been due, had it run on
            return within(last[0], amount - last[1], exceeded=exceeded)
        return None

    def note_passed(self, at: int) -> None:
        """Record the levels that the clock passes before `at`; a level that new terms moved into the past is recorded when they came."""
        if self.target is None or self.terms is None:
            return
        elapsed = self.elapsed(at)
        for level in LEVELS:
            amount = self.threshold(level)
            if level in self.passed or amount is None:
                continue
            if elapsed > amount or (elapsed == amount and level != "breach"):
                instant = self.instant_of(amount, exceeded=level == "breach")
                if instant is not None:
                    self.passed[level] = max(instant, self.terms_at)

    def turn(self, at: int, state: str, cause: str, terms: Terms | None, target: Target | None) -> None:
        """Close the open span at `at` and open one in a new state or under new terms."""
        if (state, terms, target) == (self.state, self.terms, self.target):
            return
        self.note_passed(at)
        span = self._open_span(at)
        if at > self.since:
            if self.terms is None and terms is not None and target is not None:
                # a policy that comes late measures from the metric's own start
                self.spans = [_under(s, terms, target) for s in self.spans]
                span = _under(span, terms, target)
                self.counted = sum(count(s) for s in self.spans)
            self.spans.append(span)
            self.counted += count(span)
        if terms is not self.terms or target != self.target:
            self.terms_at = at
        self.since, self.state, self.cause, self.terms, self.target = at, state, cause, terms, target


def _under(span: Span, terms: Terms, target: Target) -> Span:
    if span.terms is not None:
        return span
    return Span(span.since, span.until, span.state, span.cause, terms, target.business)


def count(span: Span) -> int:
    """What a span counts."""
    if span.state != "running" or span.terms is None:
        return 0
    if not span.business:
        return max(span.until - span.since, 0)
    return span.terms.business_time.between(span.since, span.until)


def within(span: Span, amount: int, *, exceeded: bool) -> int:
    """The instant in a running span at which it has counted `amount` (exceeded: the last instant before it counts more)."""
    if not span.business or span.terms is None:
        return span.since + amount
    deadline = span.terms.business_time.add(span.since, amount)
    return span.terms.business_time.next_open(deadline) if exceeded else deadline
