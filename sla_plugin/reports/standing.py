"""How a stored clock stands at an instant: its state in one word, what is left, whether time counts right now. Microseconds throughout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sla_plugin.engine.durations import DAY
from sla_plugin.engine.policies import Book, Terms
from sla_plugin.store.clocks import Clock

TermsKey = tuple[int | None, int | None, int | None, int | None]


@dataclass(frozen=True)
class Standing:
    """A clock as lists show it.

    state          breached, critical, warning, running, on_hold, met, pending or cancelled
    left           counted time to the target, negative when over; None without a target
    filled         percent of the target that is used, at most 100
    opens_at       when time counts again, if it is outside hours now
    counts_until   up to when time surely counts (next closing); None if it does not count now
    """

    state: str
    left: int | None
    elapsed: int
    target: int | None
    filled: int
    business: bool
    opens_at: int | None
    counts_until: int | None


def index_terms(books: Sequence[Book]) -> dict[TermsKey, Terms]:
    """Every set of terms in some books, by the versions that a clock row names.

    Of terms that differ in the calendar beside ours only, the newest: an open clock, the only kind whose time still counts, runs under it.
    """
    return {(t.policy_id, t.policy_version, t.calendar_id, t.calendar_version): t for book in books for t in book.terms}


def terms_of(clock: Clock, terms: Mapping[TermsKey, Terms]) -> Terms | None:
    """The terms a clock runs under."""
    return terms.get((clock.policy_id, clock.policy_version, clock.calendar_id, clock.calendar_version))


def standing(clock: Clock, terms: Terms | None, now: int) -> Standing:
    """How the clock stands at `now`; without its terms (an old definition that no longer reads) time is counted as calendar time."""
    business = terms is not None and clock.business
    elapsed, opens_at, counts_until = clock.elapsed, None, None
    if clock.phase == "running":
        if business and terms is not None:
            hours = terms.business_time
            elapsed += hours.between(clock.counted_at, now) if now > clock.counted_at else 0
            if hours.is_open(now):
                counts_until = next((s.end for s in hours.segments(now, now + 2 * DAY) if s.state == "open"), None)
            else:
                opens_at = hours.next_open(now)
        else:
            elapsed += max(now - clock.counted_at, 0)
            counts_until = now + DAY
    left = None if clock.target is None else clock.target - elapsed
    filled = 0 if not clock.target else min(100 * elapsed // clock.target, 100)
    return Standing(_state(clock, now), left, elapsed, clock.target, int(filled), business, opens_at, counts_until)


def state_word(phase: str, *, breached: bool, critical: bool, warned: bool) -> str:
    """The one word for a clock's state on every page."""
    if phase == "cancelled":
        return "cancelled"
    if breached:
        return "breached"
    if phase in ("finished", "stopped"):
        return "met"
    if phase != "running":
        return phase
    return "critical" if critical else "warning" if warned else "running"


def _state(clock: Clock, now: int) -> str:
    critical = clock.critical_at is not None and clock.critical_at <= now
    warned = clock.warning_at is not None and clock.warning_at <= now
    return state_word(clock.phase, breached=clock.breached_at is not None, critical=critical, warned=warned)
