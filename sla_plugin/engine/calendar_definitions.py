"""The parts of a calendar's definition, read strictly and written back: zone, weekly hours, holidays, dated intervals.

Every reader takes the value and the `field` that names its place, and raises InvalidDefinition with both and what to write instead.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from sla_plugin.errors import InvalidDefinition

Span = tuple[int, int]  # minutes since midnight of a local date; an end above MIDNIGHT is on the next date

MIDNIGHT: Final = 1440
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WHOLE_DAY: Final[tuple[Span, ...]] = ((0, MIDNIGHT),)
FIRST_YEAR: Final = 1900  # what calendars know of; a date outside is a typing error
LAST_YEAR: Final = 2199
_HOLIDAY_KEYS: Final = ("date", "name", "source")
_DATED_KEYS: Final = ("hours", "label")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WALL_TIME: Final = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)", re.ASCII)


def read_time_zone(value: object, field: str) -> str:
    """An IANA zone name that the tz database knows."""
    if not isinstance(value, str) or not value:
        raise InvalidDefinition(field, "is missing; write an IANA zone, e.g. Europe/Berlin")
    try:
        ZoneInfo(value)
    except (LookupError, ValueError, OSError) as error:  # not found; not a key; a folder of the tz database
        raise InvalidDefinition(field, f"{value!r} is no known time zone; {_nearest_zone(value)}") from error
    return value


def _nearest_zone(typed: str) -> str:
    """What to say instead of a zone that does not exist: its city, or the whole name, may be spelled almost like one that does."""
    zones = sorted(available_timezones())
    names = {name.rsplit("/", 1)[-1].lower(): name for name in zones} | {name.lower(): name for name in zones}
    near = get_close_matches(typed[:64].strip().lower().replace(" ", "_"), names, n=1, cutoff=0.75)
    return f"did you mean {names[near[0]]}?" if near else "write an IANA zone, e.g. Europe/Berlin"


def read_weekly_hours(value: object, field: str) -> tuple[tuple[Span, ...], ...]:
    """The spans of each weekday as typed, Monday first; an overnight span ends above MIDNIGHT."""
    if value == "24x7":
        return (WHOLE_DAY,) * 7
    if not isinstance(value, Mapping):
        raise InvalidDefinition(field, 'write "24x7", or the intervals of each weekday, e.g. {mon: ["09:00-17:00"]}')
    for day in value:
        if day not in WEEKDAYS:
            raise InvalidDefinition(join(field, str(day)), unknown(str(day), WEEKDAYS))
    week = tuple(_spans(value.get(day), join(field, day)) for day in WEEKDAYS)
    for weekday, spans in enumerate(week):
        _refuse_overlap(spans, week[(weekday + 1) % 7], join(field, WEEKDAYS[(weekday + 1) % 7]), "the overnight shift of " + WEEKDAYS[weekday])
    return week


def read_holidays(value: object, field: str) -> tuple[tuple[date, str], ...]:
    """(date, name or "") ascending, each date once."""
    if value is None:
        return ()
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InvalidDefinition(field, 'write a list of dates, e.g. ["2026-12-25", {date: "2026-01-06", name: Epiphany}]')
    days: dict[date, str] = {}
    for index, entry in enumerate(value):
        place, name = f"{field}[{index}]", ""
        if isinstance(entry, Mapping):
            for key in entry:
                if key not in _HOLIDAY_KEYS:
                    raise InvalidDefinition(join(place, str(key)), unknown(str(key), _HOLIDAY_KEYS))
            name, entry, place = str(entry.get("name") or ""), entry.get("date"), join(place, "date")
        day = _date(entry, place)
        days[day] = days.get(day) or name
    return tuple(sorted(days.items()))


def read_dated_spans(value: object, field: str) -> tuple[tuple[date, tuple[Span, ...]], ...]:
    """(date, spans) ascending; a date without intervals has no spans. Each date has a list of intervals, or `{hours: [...], label: ...}`."""
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise InvalidDefinition(field, 'write dates with their intervals, e.g. {"2026-12-24": ["09:00-12:00"]}')
    dated: dict[date, tuple[Span, ...]] = {}
    for key, intervals in value.items():
        place = join(field, str(key))
        day = _date(key, place)
        if day in dated:
            raise InvalidDefinition(place, "this date is given twice")
        if isinstance(intervals, Mapping):
            for word in intervals:
                if word not in _DATED_KEYS:
                    raise InvalidDefinition(join(place, str(word)), unknown(str(word), _DATED_KEYS))
            intervals = intervals.get("hours")
        dated[day] = _spans(intervals, place)
    for day, spans in dated.items():
        following = day + timedelta(days=1)
        _refuse_overlap(spans, dated.get(following, ()), join(field, following.isoformat()), f"the overnight interval of {day}")
    return tuple(sorted(dated.items()))


def _spans(value: object, field: str) -> tuple[Span, ...]:
    if value is None:
        return ()
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InvalidDefinition(field, 'write a list of intervals, e.g. ["09:00-17:00"]')
    placed = sorted((_span(entry, f"{field}[{index}]"), index) for index, entry in enumerate(value))
    for ((start, end), _), ((next_start, next_end), index) in pairwise(placed):
        if next_start < end:
            raise InvalidDefinition(f"{field}[{index}]", f"{_span_text((next_start, next_end))} overlaps {_span_text((start, end))}; make it one interval")
    return tuple(span for span, _ in placed)


def _span(entry: object, field: str) -> Span:
    parts = entry.split("-") if isinstance(entry, str) else list(entry) if isinstance(entry, list | tuple) else []
    if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise InvalidDefinition(field, f'{entry!r} is no interval; write it in quotes as "09:00-17:00"')
    start, end = (_minute(part, field) for part in parts)
    if start == MIDNIGHT:
        raise InvalidDefinition(field, "an interval cannot start at 24:00; write 00:00 on the next day")
    if end == MIDNIGHT - 1:
        raise InvalidDefinition(field, "an end of 23:59 loses a minute each midnight; write 24:00 for the end of the day")
    if start == end:
        raise InvalidDefinition(field, f"{_span_text((start, end))} is empty; write 00:00-24:00 for a whole day")
    return (start, end) if end > start else (start, end + MIDNIGHT)


def _minute(text: str, field: str) -> int:
    match = _WALL_TIME.fullmatch(text.strip())
    minute = int(match[1]) * 60 + int(match[2]) if match else MIDNIGHT + 1
    if minute > MIDNIGHT:
        raise InvalidDefinition(field, f"{text.strip()!r} is no time of day; write 00:00 to 24:00")
    return minute


def _date(value: object, field: str) -> date:
    day = value if isinstance(value, date) and not isinstance(value, datetime) else None  # YAML reads an unquoted date as one
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            day = date.fromisoformat(value)
        except ValueError as error:
            raise InvalidDefinition(field, f"{value!r} is no date of the calendar; write it as 2026-12-25") from error
    if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise InvalidDefinition(field, f"{value!r} is no date from {FIRST_YEAR} to {LAST_YEAR}; write it as 2026-12-25")
    return day


def _refuse_overlap(spans: tuple[Span, ...], following: tuple[Span, ...], field: str, name: str) -> None:
    """An overnight span must end before the first span of the following date begins."""
    if spans and following and spans[-1][1] - MIDNIGHT > following[0][0]:
        raise InvalidDefinition(field, f"{_span_text(following[0])} overlaps {name}, {_span_text(spans[-1])}; let one end where the other begins")


def unknown(word: str, known: Iterable[str]) -> str:
    """What to say of a word that is not among the known ones."""
    near = get_close_matches(word.lower(), list(known), n=1)
    return f"unknown word; did you mean {near[0]}?" if near else f"unknown word; known are {', '.join(known)}"


def join(where: str, part: str) -> str:
    """The place of `part` inside `where`, which may be empty."""
    return f"{where}.{part}" if where else part


def span_texts(spans: Iterable[Span]) -> list[str]:
    """Spans as they are typed: `22:00-06:00`."""
    return [_span_text(span) for span in spans]


def _span_text(span: Span) -> str:
    start, end = span
    end -= MIDNIGHT if end > MIDNIGHT else 0
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
