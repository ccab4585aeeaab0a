"""When a zone's clocks change next, and what that does to a calendar's hours of that date."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sla_plugin.engine.calendars import EPOCH, MICROSECOND, Calendar, day_span

_AHEAD: Final = 400  # days that are looked at: a year, and whatever a rule moves by


@dataclass(frozen=True)
class ClockChange:
    """The instant `at` (microseconds UTC) at which the wall clock goes from `before` to `after`, both naive wall times."""

    at: int
    before: datetime
    after: datetime

    @property
    def forward(self) -> bool:
        """An hour (or half of one) is skipped; otherwise it comes twice."""
        return self.after > self.before


def next_clock_change(zone: ZoneInfo, after: int) -> ClockChange | None:
    """The first change later than an instant (microseconds UTC) within about a year; None if there is none."""
    start = EPOCH + after * MICROSECOND
    was = start.astimezone(zone).utcoffset()
    for step in range(1, _AHEAD + 1):
        low, high = start + timedelta(days=step - 1), start + timedelta(days=step)
        if high.astimezone(zone).utcoffset() == was:
            continue
        while high - low > timedelta(seconds=1):
            middle = low + (high - low) / 2
            low, high = (middle, high) if middle.astimezone(zone).utcoffset() == was else (low, middle)
        at = high.replace(microsecond=0)  # changes happen at whole seconds, and `high` is less than one after it
        naive = at.replace(tzinfo=None)
        return ClockChange((at - EPOCH) // MICROSECOND, naive + _offset(zone, at - timedelta(seconds=1)), naive + _offset(zone, at))
    return None


def open_time(calendar: Calendar, day: date) -> int:
    """Microseconds that are open on a local date."""
    return sum(end - start for start, end in calendar.intervals(*day_span(calendar.zone, day)))


def gained(calendar: Calendar, change: ClockChange) -> int:
    """How much more open time than its hours say (microseconds, less is negative) the date on which the clocks change has."""
    days = {change.before.date(), change.after.date()}
    unmoved = replace(calendar, time_zone="UTC")
    return sum(open_time(calendar, day) - open_time(unmoved, day) for day in sorted(days))


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)


def utc_offset(zone: ZoneInfo, at: int) -> timedelta:
    """How far a zone's wall clock is from UTC at an instant (microseconds UTC)."""
    return _offset(zone, datetime.fromtimestamp(at / 1e6, UTC))
