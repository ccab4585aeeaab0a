"""Availability targets on the arithmetic of the clocks: how much of a window a service was up, and when its allowance was spent. Microseconds throughout."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sla_plugin.engine.business_time import NEVER, BusinessTime
from sla_plugin.engine.calendars import merged
from sla_plugin.errors import InvalidDefinition


@dataclass(frozen=True, slots=True)
class Availability:
    """A service in [since, until), as far as `as_of`.

    promised      open time of the whole window
    down          open time of it lost to outages, overlapping ones once
    allowed       how much may be lost: the rest above the target, rounded down
    breached_at   the first instant at which more was lost; None if not
    """

    since: int
    until: int
    promised: int
    down: int
    allowed: int
    breached_at: int | None

    @property
    def percent(self) -> float:
        """Up time of the window so far in percent; 100 where nothing was promised."""
        return 100.0 if not self.promised else 100 * (self.promised - self.down) / self.promised


def read_percent(value: Any, field: str) -> Fraction:
    """A target such as 99.9 (percent) or "99.95". Raises InvalidDefinition unless it lies above 0 and at most at 100."""
    try:
        percent = Fraction(str(value).strip().removesuffix("%").strip())
    except (ValueError, ZeroDivisionError):
        percent = Fraction(0)
    if isinstance(value, bool) or not 0 < percent <= 100:
        raise InvalidDefinition(field, f"{value!r} is no availability; write a percentage such as 99.9")
    return percent


def availability(hours: BusinessTime, since: int, until: int, target: Fraction, outages: Iterable[tuple[int, int | None]], as_of: int) -> Availability:
    """How a service did in the window: `target` in percent of the open time of `hours`, outages as (since, until), None while one lasts."""
    promised = hours.between(since, until)
    allowed = int(promised * (100 - target) / 100)
    end = min(until, as_of)
    down, breached_at = 0, None
    for begin, over in merged([(begin, end if over is None else over) for begin, over in outages], since, end):
        lost = hours.between(begin, over)
        if breached_at is None and down + lost > allowed:
            breached_at = hours.next_open(hours.add(begin, allowed - down))
        down += lost
    return Availability(since, until, promised, down, allowed, None if breached_at == NEVER else breached_at)
