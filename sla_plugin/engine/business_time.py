"""Arithmetic of business time: add, subtract, between, as binary searches over open intervals with running totals.

Instants and amounts are integer microseconds (instants UTC). Conventions: an amount spent exactly at closing is due at closing (`next_open` of it is the
opening that other systems name); an amount of zero outside hours is due at the next opening; intervals are open from their start, inclusive, to their end,
exclusive. Calendars are known from FIRST to LAST: an instant that does not come by then is NEVER, later than all others.
"""

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from sla_plugin.engine.calendar_definitions import FIRST_YEAR, LAST_YEAR, WHOLE_DAY
from sla_plugin.engine.calendars import EPOCH, MICROSECOND, Calendar, Interval, NamedInterval, OpenHours, day_span, merged, resolve_local, year_start

NEVER: Final = 2**63 - 1
FIRST: Final = year_start(FIRST_YEAR)
LAST: Final = year_start(LAST_YEAR + 1)


class Segment(NamedTuple):
    """A stretch of time in one state: `open`, `closed`, or `holiday` with its name (None for the others)."""

    start: int
    end: int
    state: str
    name: str | None


class _Table(NamedTuple):
    """Open intervals of the years read so far, with the open time before each; never changed, only replaced by a longer one.

    The first and the last entry are empty intervals at the bounds of those years, so that every instant between finds an entry at or before it.
    """

    starts: list[int]
    ends: list[int]
    totals: list[int]


_UNREAD: Final = _Table([LAST], [LAST], [0])


class BusinessTime:
    """The open time of a calendar, compiled; made by `business_time`. Years are read when first needed."""

    def __init__(self, hours: OpenHours) -> None:
        self.hours = hours
        self._table = _UNREAD

    def add(self, start: int, amount: int) -> int:
        """The deadline: the first instant by which `amount` of open time has passed since `start`; NEVER if it does not come. ValueError below zero."""
        starts, ends, totals = self._table
        if not starts[0] <= start <= starts[-1]:
            start = _within(start)
            starts, ends, totals = self._reach(start, start)
        i = bisect_right(starts, start) - 1
        end = ends[i]
        goal = totals[i] + (start if start < end else end) - starts[i] + amount
        if amount > 0:
            if goal > totals[-1]:
                starts, ends, totals = self._earn(goal)
                if goal > totals[-1]:
                    return NEVER
            i = bisect_left(totals, goal) - 1  # the interval in which the total is reached: at its end, if exactly then
            return starts[i] + goal - totals[i]
        if amount < 0:
            raise ValueError(f"cannot add {amount} microseconds: use subtract")
        if goal >= totals[-1]:
            starts, ends, totals = self._earn(goal + 1)
            if goal >= totals[-1]:
                return NEVER
        i = bisect_right(totals, goal) - 1  # the interval in which time goes on
        return starts[i] + goal - totals[i]

    def thresholds(self, start: int, warning: int, critical: int, amount: int) -> tuple[int, int, int, int]:
        """`add` of three ascending amounts above zero, and the next opening at or after the last: all in one look-up where one interval holds them."""
        starts, ends, totals = self._table
        if starts[0] <= start <= starts[-1]:
            i = bisect_right(starts, start) - 1
            end = ends[i]
            base = totals[i] + (start if start < end else end) - starts[i]
            goal = base + amount
            if goal < totals[-1]:
                i = bisect_right(totals, goal, i) - 1  # the last interval that begins with no more: it is open at the deadline, or next opens
                begins, before = starts[i] - totals[i], totals[i]
                if base + warning > before:
                    return begins + base + warning, begins + base + critical, begins + goal, begins + goal
        deadline = self.add(start, amount)
        return self.add(start, warning), self.add(start, critical), deadline, self.add(deadline, 0)

    def subtract(self, instant: int, amount: int) -> int:
        """The instant with `amount` of open time between it and `instant`; of zero, the last open moment (a closing) before, if `instant` is outside hours.

        -NEVER if the calendar has not that much. ValueError below zero.
        """
        if amount < 0:
            raise ValueError(f"cannot subtract {amount} microseconds: use add")
        instant = _within(instant)
        starts, ends, totals = self._reach(instant, instant)
        i = bisect_right(starts, instant) - 1
        goal = totals[i] + min(instant, ends[i]) - starts[i] - amount
        least = goal if amount else goal - 1
        if least < totals[0]:
            starts, ends, totals = self._earn_backward(least)
            if least < totals[0]:
                return -NEVER
        i = (bisect_right if amount else bisect_left)(totals, goal) - 1
        return starts[i] + goal - totals[i]

    def between(self, start: int, end: int) -> int:
        """Open time from `start` to `end`; 0 if `end` is not later."""
        if end <= start:
            return 0
        starts, ends, totals = self._table
        if start < starts[0] or end > starts[-1]:
            start, end = _within(start), _within(end)
            starts, ends, totals = self._reach(start, end)
        i = bisect_right(starts, start) - 1
        first = ends[i]
        if end <= first:
            return end - start
        j = bisect_right(starts, end, i) - 1
        last = ends[j]
        return totals[j] + (end if end < last else last) - starts[j] - totals[i] - (start if start < first else first) + starts[i]

    def next_open(self, instant: int) -> int:
        """The first open instant at or after `instant`; NEVER if there is none."""
        return self.add(instant, 0)

    def is_open(self, instant: int) -> bool:
        """Whether `instant` counts; an opening instant does, a closing instant does not."""
        return self.add(instant, 0) == instant

    def holiday_at(self, instant: int) -> str | None:
        """The name of the holiday whose date `instant` lies on ("" where it has none); None on any other date."""
        index = bisect_right(self._holidays, (instant, NEVER)) - 1
        if index < 0 or instant >= self._holidays[index][1]:
            return None
        return self._holidays[index][2]

    def open_intervals(self, start: int, end: int) -> list[Interval]:
        """The open intervals within [start, end], ascending."""
        if end <= start:
            return []
        start, end = _within(start), _within(end)
        starts, ends, _ = self._reach(start, end)
        first, last = bisect_right(ends, start), bisect_left(starts, end)
        return [(max(starts[i], start), min(ends[i], end)) for i in range(first, last) if starts[i] < ends[i]]

    def segments(self, start: int, end: int) -> list[Segment]:
        """All of [start, end] in order, neighbours of a kind joined. A date that only a holiday closes is `holiday` from midnight to midnight."""
        found: list[Segment] = []
        at = start
        for opens, closes in self.open_intervals(start, end):
            self._append_closed(found, at, opens)
            found.append(Segment(opens, closes, "open", None))
            at = closes
        self._append_closed(found, at, end)
        return found

    def add_days(self, start: int, days: int) -> int:
        """The wall time of `start` on the `days`-th later local date that has hours, or the next open instant after it; NEVER if there is none."""
        if days < 0:
            raise ValueError(f"cannot add {days} days")
        if days == 0:
            return self.next_open(start)
        wall = self._local(start)
        day = wall.date()
        while days:
            day += timedelta(days=1)
            if day.year > LAST_YEAR:
                return NEVER
            days -= self.between(*day_span(self.hours.zone, day)) > 0
        return self.next_open(resolve_local(self.hours.zone, datetime.combine(day, wall.time())))

    def end_of_day(self, instant: int) -> int:
        """The last closing on the local date of the first open instant at or after `instant`; NEVER if there is none."""
        opens = self.next_open(instant)
        if opens == NEVER:
            return NEVER
        _, midnight = day_span(self.hours.zone, self._local(opens).date())
        return self.subtract(midnight, 0)

    def deadline(self, start: datetime, amount: int) -> datetime | None:
        """`add` for an aware datetime, in UTC; None if it does not come. ValueError for a naive one: it names no instant."""
        try:
            due = self.add((start - EPOCH) // MICROSECOND, amount)
        except TypeError as error:
            raise ValueError(f"{start.isoformat()} has no time zone; give an aware datetime") from error
        return None if due == NEVER else EPOCH + MICROSECOND * due

    def _local(self, instant: int) -> datetime:
        return (EPOCH + MICROSECOND * instant).astimezone(self.hours.zone)

    @cached_property
    def _holidays(self) -> list[NamedInterval]:
        return self.hours.holiday_spans(FIRST, LAST)

    def _append_closed(self, found: list[Segment], start: int, end: int) -> None:
        """Append the closed stretch [start, end], holidays by name."""
        holidays = self._holidays
        index = max(bisect_right(holidays, (start,)) - 1, 0)
        at = start
        while at < end and index < len(holidays):
            opens, closes, name = holidays[index]
            if opens >= end:
                break
            if closes > at:
                _append(found, at, opens, "closed", None)
                _append(found, max(opens, at), min(closes, end), "holiday", name)
                at = min(closes, end)
            index += 1
        _append(found, at, end, "closed", None)

    def _reach(self, start: int, end: int) -> _Table:
        """A table in which [start, end] lies; both within FIRST and LAST."""
        table = self._table
        if table.starts[0] <= start and end <= table.starts[-1]:
            return table
        first, last = year_start(_year(start)), year_start(min(_year(end) + 2, LAST_YEAR + 1))
        return self._read(first, last) if table is _UNREAD else self._read(min(first, table.starts[0]), max(last, table.starts[-1]))

    def _earn(self, goal: int) -> _Table:
        """A table whose totals come up to `goal`, if those of the calendar ever do; doubles the years, so that the end is soon reached."""
        table = self._table
        while goal > table.totals[-1] and table.starts[-1] < LAST:
            first, last = table.starts[0], table.starts[-1]
            table = self._read(first, min(LAST, year_start(_year(last) + 1 + (last - first) // _YEAR)))
        return table

    def _earn_backward(self, goal: int) -> _Table:
        """A table whose totals come down to `goal`, if those of the calendar ever do."""
        table = self._table
        while goal < table.totals[0] and table.starts[0] > FIRST:
            first, last = table.starts[0], table.starts[-1]
            table = self._read(max(FIRST, year_start(_year(first) - 1 - (last - first) // _YEAR)), last)
        return table

    def _read(self, first: int, last: int) -> _Table:
        """Replace the table by one from `first` to `last`, which hold the old one. Totals keep their origin, so that a goal stays what it was."""
        old = self._table
        if old is _UNREAD:
            old = _Table([first, first], [first, first], [0, 0])
        earlier = self.hours.intervals(first, old.starts[0])
        later = self.hours.intervals(old.starts[-1], last)
        known = zip(old.starts[1:-1], old.ends[1:-1], strict=True)
        total = old.totals[0] - sum(end - start for start, end in earlier)
        table = _Table([first], [first], [total])
        for start, end in (*merged([*earlier, *known, *later], first, last), (last, last)):
            table.starts.append(start)
            table.ends.append(end)
            table.totals.append(total)
            total += end - start
        self._table = table
        return table


class AroundTheClock(BusinessTime):
    """24x7: business time is time, no interval is ever looked up."""

    def add(self, start: int, amount: int) -> int:
        """start + amount; ValueError below zero."""
        if amount < 0:
            raise ValueError(f"cannot add {amount} microseconds: use subtract")
        return start + amount

    def thresholds(self, start: int, warning: int, critical: int, amount: int) -> tuple[int, int, int, int]:
        """The sums; it is always open."""
        return start + warning, start + critical, start + amount, start + amount

    def subtract(self, instant: int, amount: int) -> int:
        """instant - amount; ValueError below zero."""
        if amount < 0:
            raise ValueError(f"cannot subtract {amount} microseconds: use add")
        return instant - amount

    def between(self, start: int, end: int) -> int:
        """end - start; 0 if `end` is not later."""
        return end - start if end > start else 0

    def open_intervals(self, start: int, end: int) -> list[Interval]:
        """[start, end] itself."""
        return [(start, end)] if start < end else []


@lru_cache(maxsize=1024)
def business_time(hours: OpenHours) -> BusinessTime:
    """The compiled business time of a Calendar or Cover; the same object for equal ones, as long as it is in use."""
    return AroundTheClock(hours) if hours.always_open else BusinessTime(hours)


ALWAYS: Final = business_time(Calendar("UTC", (WHOLE_DAY,) * 7))


_YEAR: Final = year_start(1971) - year_start(1970)


def _year(instant: int) -> int:
    return (EPOCH + MICROSECOND * instant).year


def _within(instant: int) -> int:
    return min(max(instant, FIRST), LAST)


def _append(found: list[Segment], start: int, end: int, state: str, name: str | None) -> None:
    if start >= end:
        return
    if found and found[-1].state == state and found[-1].name == name:
        start = found.pop().start
    found.append(Segment(start, end, state, name))
