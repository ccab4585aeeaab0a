"""Holidays out of an iCalendar file: all-day events become dates with names, everything else is refused by name and reason, never in silence.

A timed event is refused, not turned into a shorter day: feeds mix meetings with holidays, and a meeting must not stop the clocks. A rule that repeats must
be yearly; it is written out as dates of the years asked for, so that what counts is what was seen.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final

from dateutil.rrule import rrulestr
from icalendar import Calendar as ICalendar
from icalendar.prop import vBroken

from sla_plugin.engine.calendar_definitions import FIRST_YEAR, LAST_YEAR
from sla_plugin.errors import InvalidDefinition

LARGEST: Final = 1_000_000  # bytes
MOST: Final = 2000  # events of a file, and dates that come of it
_LONGEST: Final = 60  # days of one event: summer holidays of a school, not a typing error of a year
_RULE_PARTS: Final = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS", "BYEASTER", "WKST"}
)


@dataclass(frozen=True)
class Refused:
    """An event that became no holiday: its name (with its start, where it has one) and why."""

    event: str
    reason: str


@dataclass(frozen=True)
class ICalHolidays:
    """What a file says of some years: dates with names, ascending; `refused` events; `elsewhere`: events with no date in those years."""

    days: Mapping[date, str]
    refused: tuple[Refused, ...]
    elsewhere: int


class _Refusal(Exception):
    """Why an event becomes no holiday."""


def read_ical(content: bytes, years: Collection[int]) -> ICalHolidays:
    """The holidays of `years`. Raises InvalidDefinition for a file that is none, too large, or of too many dates."""
    if len(content) > LARGEST:
        raise InvalidDefinition("file", f"has {len(content)} bytes; at most {LARGEST} are read")
    _check_years(years)
    events = _events(content)
    moved = {(str(e.get("UID")), day) for e in events for day in _dates_of(e, "RECURRENCE-ID") if e.get("UID") is not None}
    days: dict[date, str] = {}
    refused: list[Refused] = []
    elsewhere = 0
    for event in events:
        name = " ".join(str(event.get("SUMMARY") or "").split())[:200]
        try:
            skipped = {day for uid, day in moved if uid == str(event.get("UID"))} if event.get("RECURRENCE-ID") is None else set()
            found = [day for day in _days(event, years, skipped) if day.year in years]
        except _Refusal as refusal:
            refused.append(Refused(_called(event, name), str(refusal)))
            continue
        elsewhere += not found
        for day in found:
            days[day] = days.get(day) or name
        if len(days) > MOST:
            raise InvalidDefinition("file", f"holds more than {MOST} dates; ask for fewer years, or for a calendar of holidays only")
    return ICalHolidays(dict(sorted(days.items())), tuple(refused), elsewhere)


def _check_years(years: Collection[int]) -> None:
    if not years:
        raise InvalidDefinition("years", "name at least one, e.g. 2026,2027")
    for year in years:
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise InvalidDefinition("years", f"{year} is no year from {FIRST_YEAR} to {LAST_YEAR}")


def _events(content: bytes) -> list[Any]:
    try:
        parsed = ICalendar.from_ical(content.decode("utf-8-sig"), multiple=True)
    except UnicodeDecodeError:
        raise InvalidDefinition("file", "is not UTF-8 text") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as problem:
        raise InvalidDefinition("file", f"is no iCalendar file: {str(problem)[:200] or type(problem).__name__}") from None
    events = [event for calendar in parsed for event in calendar.walk("VEVENT")]
    if not events:
        raise InvalidDefinition("file", "holds no event; an iCalendar file has BEGIN:VCALENDAR and a BEGIN:VEVENT for each holiday")
    if len(events) > MOST:
        raise InvalidDefinition("file", f"holds {len(events)} events; at most {MOST} are read")
    return events


def _days(event: Any, years: Collection[int], skipped: Collection[date]) -> list[date]:
    """The dates of an event up to the last of `years`. Raises _Refusal."""
    if str(event.get("STATUS") or "").upper() == "CANCELLED":
        raise _Refusal("it is cancelled")
    start, length = _span(event)
    without = {*skipped, *_dates_of(event, "EXDATE")}
    begins = [*_repeated(event, start, max(years)), *_dates_of(event, "RDATE")]
    return [begin + timedelta(days=n) for begin in begins if begin not in without for n in range(length)]


def _span(event: Any) -> tuple[date, int]:
    """The first date and how many there are. Raises _Refusal."""
    start = _decoded(event, "DTSTART")
    if start is None:
        raise _Refusal("it has no start" if event.get("DTSTART") is None else "its start is no date")
    if isinstance(start, datetime):
        raise _Refusal("it has a time of day; only all-day events become holidays, write a short day as an exception")
    if not FIRST_YEAR <= start.year <= LAST_YEAR:
        raise _Refusal(f"its start is not from {FIRST_YEAR} to {LAST_YEAR}")
    end, duration = _decoded(event, "DTEND"), _decoded(event, "DURATION")
    length = 1
    if isinstance(end, datetime) or (event.get("DTEND") is not None and end is None):
        raise _Refusal("its end is no date")
    if isinstance(end, date):
        length = (end - start).days  # DTEND is the day after
    elif isinstance(duration, timedelta):
        length = duration.days
    if length < 0:
        raise _Refusal("it ends before it starts")
    if length > _LONGEST:
        raise _Refusal(f"it lasts {length} days, more than {_LONGEST}")
    return start, max(length, 1)  # some write the same day as start and end


def _repeated(event: Any, start: date, last_year: int) -> list[date]:
    """The first dates of every repetition, without a rule the start alone. Raises _Refusal."""
    rule = event.get("RRULE")
    if rule is None:
        return [start]
    if isinstance(rule, list | vBroken):
        raise _Refusal("it has several rules" if isinstance(rule, list) else "its rule cannot be read")
    parts = {str(key).upper(): values if isinstance(values, list) else [values] for key, values in rule.items()}
    frequency = str(next(iter(parts.get("FREQ", [""])))).upper()
    if frequency != "YEARLY" or not set(parts) <= _RULE_PARTS:
        raise _Refusal(f"it repeats {frequency.lower() or 'by a rule'}{' by the hour' if frequency == 'YEARLY' else ''}; only yearly rules of dates are read")
    count = parts.pop("COUNT", [None])[0]
    until = parts.pop("UNTIL", [None])[0]
    end = date(last_year, 12, 31)
    if isinstance(until, date):
        end = min(end, until.date() if isinstance(until, datetime) else until)
    # the end of the years is always given: a rule that never holds must not be tried for ever
    text = ";".join(f"{key}={','.join(_written(v) for v in values)}" for key, values in parts.items()) + f";UNTIL={end:%Y%m%d}T000000"
    try:
        if any(int(n) < 1 for n in parts.get("INTERVAL", [1])) or (count is not None and int(count) < 1):
            raise _Refusal("its rule repeats every 0 years")
        repeats = [moment.date() for moment in islice(rrulestr(text, dtstart=datetime.combine(start, time.min)), int(count) if count is not None else MOST + 1)]
    except (ValueError, TypeError, KeyError, OverflowError) as problem:
        raise _Refusal(f"its rule cannot be read: {problem}") from None
    if len(repeats) > MOST:
        raise _Refusal(f"it repeats more than {MOST} times by the end of {last_year}")
    return repeats


def _written(value: Any) -> str:
    to_ical = getattr(value, "to_ical", None)
    return to_ical().decode() if to_ical is not None else str(value)


def _decoded(event: Any, name: str) -> Any:
    """The value of a property as date, datetime or timedelta; None where it is missing or cannot be read."""
    told = event.get(name)
    value = None if isinstance(told, vBroken) else getattr(told, "dt", None)
    return value if isinstance(value, date | timedelta) else None


def _dates_of(event: Any, name: str) -> Iterator[date]:
    """The dates of a property that may stand several times and list several; a moment counts for its date. Raises _Refusal."""
    told = event.get(name)
    for one in told if isinstance(told, list) else [told]:
        if isinstance(one, vBroken) and name != "RECURRENCE-ID":
            raise _Refusal(f"its {name} cannot be read")
        if one is None or isinstance(one, vBroken):
            continue
        moments: Iterable[Any] = getattr(one, "dts", None) or [one]
        for moment in moments:
            value = getattr(moment, "dt", None)
            if isinstance(value, datetime):
                yield value.date()
            elif isinstance(value, date):
                yield value


def _called(event: Any, name: str) -> str:
    start = _decoded(event, "DTSTART")
    return f"{name or 'an event without a name'}{f' ({start.isoformat()})' if isinstance(start, date) else ''}"
