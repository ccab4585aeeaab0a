"""What a calendar means from now on: open or closed now, the next four weeks day by day, the next holiday, the next change of clocks. Pure, no words."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sla_plugin.engine.business_time import NEVER, business_time
from sla_plugin.engine.calendar_definitions import MIDNIGHT, Span
from sla_plugin.engine.calendars import EPOCH, MICROSECOND, Calendar, day_span, local_date
from sla_plugin.engine.clock_changes import ClockChange, gained, next_clock_change
from sla_plugin.engine.durations import MINUTE

DAYS: Final = 28
_FAR: Final = 400 * 24 * 60 * MINUTE


@dataclass(frozen=True)
class Day:
    """A local date: its open wall-clock spans (minutes), how much is open (microseconds), the holiday on it, labels; `special`: no usual day."""

    day: date
    spans: tuple[Span, ...]
    open_time: int
    holiday: str | None
    labels: tuple[str, ...]
    special: bool


@dataclass(frozen=True)
class Outlook:
    """How a calendar stands and what comes.

    until    when that ends (microseconds UTC; None: not within a year)
    holiday  (date, name) of the next one
    change   the next change of clocks; `gained`: how much open time it gives, negative: takes (microseconds)
    """

    open_now: bool
    until: int | None
    days: tuple[Day, ...]
    holiday: tuple[date, str] | None
    change: ClockChange | None
    gained: int


def outlook(calendar: Calendar, now: int, days: int = DAYS) -> Outlook:
    """How it stands at an instant (microseconds UTC), and the local dates from then on."""
    zone = calendar.zone
    today = local_date(zone, now)
    change = next_clock_change(zone, now)
    return Outlook(
        *open_until(calendar, now),
        days=tuple(_day(calendar, today + timedelta(days=n)) for n in range(days)),
        holiday=next(((day, name) for day, name in calendar.holidays if day >= today), None),
        change=change,
        gained=gained(calendar, change) if change is not None else 0,
    )


def open_until(calendar: Calendar, now: int) -> tuple[bool, int | None]:
    """Whether it is open at an instant, and until when that stays so; None where it does not change within about a year."""
    hours = business_time(calendar)
    if not hours.is_open(now):
        opens = hours.next_open(now)
        return False, None if opens == NEVER or opens > now + _FAR else opens
    spans = hours.open_intervals(now, now + _FAR)
    return True, spans[0][1] if spans[0][1] < now + _FAR else None


def _day(calendar: Calendar, day: date) -> Day:
    zone, notes = calendar.zone, calendar.notes
    open_spans = calendar.intervals(*day_span(zone, day))
    spans = tuple((_minute(calendar, start, day), _minute(calendar, end, day)) for start, end in open_spans)
    holiday = dict(calendar.holidays).get(day)
    dated = any(day == one for part in (calendar.exceptions, calendar.extra, calendar.breaks) for one, _ in part)
    labels = tuple(label for _, at, label in notes.labels if at == day)
    return Day(day, spans, sum(end - start for start, end in open_spans), holiday, labels, dated or holiday is not None)


def _minute(calendar: Calendar, at: int, day: date) -> int:
    """The minute of the wall clock of `day` at an instant of that date, MIDNIGHT at its end."""
    wall = (EPOCH + at * MICROSECOND).astimezone(calendar.zone)
    return MIDNIGHT if wall.date() > day else wall.hour * 60 + wall.minute
