"""When we work: weekly hours, breaks, holidays and dated exceptions in one time zone, as a validated value; and its open intervals in UTC.

Written conventions: a wall time in a spring gap shifts forward by the gap (02:30 becomes 03:30), an end as well as a start; in the autumn overlap the first
occurrence counts; an interval that becomes empty is dropped; a date that a zone skips has no hours. Holidays, exceptions and breaks belong to calendar dates:
an overnight shift is two segments, cut at midnight. An exception is more particular than a holiday: on a date that has both, the exception holds. An extra
shift is added to whatever its date has, also to none; a break is cut out last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from sla_plugin.engine.calendar_definitions import (
    MIDNIGHT,
    WEEKDAYS,
    WHOLE_DAY,
    Span,
    join,
    read_dated_spans,
    read_holidays,
    read_time_zone,
    read_weekly_hours,
    span_texts,
    unknown,
)
from sla_plugin.engine.calendar_notes import DATED, Notes, holiday_entry, read_notes
from sla_plugin.errors import InvalidDefinition

Interval = tuple[int, int]  # microseconds UTC, from inclusive, to exclusive
NamedInterval = tuple[int, int, str]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
_KEYS: Final = ("time_zone", "hours", "holidays", "exceptions", "extra", "breaks", "switched_off", "unticked")
_EDGE: Final = timedelta(days=2)  # a local date is never further than this from the UTC date of the same name


class OpenHours(Protocol):
    """What business time is counted from: a Calendar, or a Cover of two."""

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose dates and wall times count."""
        ...

    @property
    def always_open(self) -> bool:
        """24x7 without an exception."""
        ...

    def intervals(self, first: int, last: int) -> list[Interval]:
        """Open intervals within [first, last], ascending, apart from each other."""
        ...

    def holiday_spans(self, first: int, last: int) -> list[NamedInterval]:
        """(from, to, name) of the local dates within [first, last] that a holiday closes, ascending."""
        ...


@dataclass(frozen=True)
class Calendar:
    """A validated calendar; made by `from_definition`, equal to any other with the same hours.

    hours        the weekly spans as typed, Monday first
    holidays     (date, name or "") ascending
    exceptions   (date, spans that replace the hours of that date; none = closed) ascending
    breaks       (date, spans cut out of that date) ascending
    extra        (date, spans added to whatever that date has) ascending
    notes        what only people read
    """

    time_zone: str
    hours: tuple[tuple[Span, ...], ...]
    holidays: tuple[tuple[date, str], ...] = ()
    exceptions: tuple[tuple[date, tuple[Span, ...]], ...] = ()
    breaks: tuple[tuple[date, tuple[Span, ...]], ...] = ()
    extra: tuple[tuple[date, tuple[Span, ...]], ...] = ()
    notes: Notes = field(default=Notes(), compare=False)

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any], where: str) -> "Calendar":
        """The calendar of a definition (the YAML policy file and stored JSON); `where` names it in messages, e.g. `calendars.support`.

            {"time_zone": "Europe/Berlin",
             "hours": "24x7" or {"mon": ["09:00-12:30", "13:30-18:00"], "wed": ["22:00-06:00"], "thu": [["09:00", "24:00"]]},
             "holidays": ["2026-12-25", {"date": "2026-01-06", "name": "Epiphany", "source": "DE-BY"}],
             "exceptions": {"2026-12-24": ["09:00-12:00"], "2026-12-31": {"hours": [], "label": "stocktaking"}},
             "extra": {"2026-05-02": ["10:00-14:00"]}, "breaks": {"2026-05-04": ["10:00-11:30"]},
             "switched_off": {"sat": ["10:00-14:00"]}, "unticked": ["2026-12-24"]}

        The last two are notes for people: what a closed day had, and which holidays do not count.

        Raises InvalidDefinition, naming the field, for whatever cannot work; a calendar without any open minute is one.
        """
        if not isinstance(definition, Mapping):
            raise InvalidDefinition(where, "is no calendar; write time_zone and hours")
        for key in definition:
            if key not in _KEYS:
                raise InvalidDefinition(join(where, str(key)), unknown(str(key), _KEYS))
        calendar = cls(
            time_zone=read_time_zone(definition.get("time_zone"), join(where, "time_zone")),
            hours=read_weekly_hours(definition.get("hours"), join(where, "hours")),
            holidays=read_holidays(definition.get("holidays"), join(where, "holidays")),
            exceptions=read_dated_spans(definition.get("exceptions"), join(where, "exceptions")),
            breaks=read_dated_spans(definition.get("breaks"), join(where, "breaks")),
            extra=read_dated_spans(definition.get("extra"), join(where, "extra")),
            notes=read_notes(definition, where),
        )
        dated = (*calendar.exceptions, *calendar.extra)
        if not any(calendar.hours) and not any(calendar.intervals(year_start(day.year - 1), year_start(day.year + 2)) for day, _ in dated):
            raise InvalidDefinition(join(where, "hours"), 'no minute is ever open, so no target could be met; give at least one interval, or "24x7"')
        return calendar

    def to_definition(self) -> dict[str, Any]:
        """The definition as plain JSON data; `from_definition` gives an equal calendar back. Empty parts are left out."""
        hours = {day: span_texts(spans) for day, spans in zip(WEEKDAYS, self.hours, strict=True) if spans}
        definition: dict[str, Any] = {"time_zone": self.time_zone, "hours": "24x7" if self._every_minute else hours}
        if self.holidays:
            sources = dict(self.notes.sources)
            definition["holidays"] = [holiday_entry(day, name, sources.get(day, "")) for day, name in self.holidays]
        labels = {(part, day): label for part, day, label in self.notes.labels}
        for key, dated in zip(DATED, (self.exceptions, self.extra, self.breaks), strict=True):
            if dated:
                definition[key] = {
                    day.isoformat(): {"hours": span_texts(spans), "label": labels[key, day]} if (key, day) in labels else span_texts(spans)
                    for day, spans in dated
                }
        return {**definition, **self.notes.to_definition()}

    @property
    def zone(self) -> ZoneInfo:
        """The calendar's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def always_open(self) -> bool:
        """24x7 and no date is different, so that business time is time."""
        return self._every_minute and not (self.holidays or self.exceptions or self.breaks)  # an extra shift adds nothing

    @property
    def _every_minute(self) -> bool:
        return all(spans == WHOLE_DAY for spans in self.hours)

    def weekly_pattern(self) -> tuple[tuple[Span, ...], ...]:
        """The weekly hours by local date, Monday first: overnight spans cut at midnight, the rest given to the next weekday."""
        days: list[list[Span]] = [[] for _ in WEEKDAYS]
        for weekday, spans in enumerate(self.hours):
            for own, spilled in map(_cut_at_midnight, spans):
                days[weekday].append(own)
                if spilled:
                    days[(weekday + 1) % 7].append(spilled)
        return tuple(tuple(sorted(spans)) for spans in days)

    def intervals(self, first: int, last: int) -> list[Interval]:
        """Open intervals within [first, last] (microseconds UTC), ascending; those that touch are one."""
        zone = self.zone
        pattern = self.weekly_pattern()
        exceptions, spills = _by_date(self.exceptions)
        extra, spilled_extra = _by_date(self.extra)
        cuts, spilled_cuts = _by_date(self.breaks)
        holidays = dict(self.holidays)
        found: list[Interval] = []
        for day in _dates(first, last):
            spans = exceptions[day] if day in exceptions else () if day in holidays else pattern[day.weekday()]
            if day in spills and (spans or not (day in exceptions or day in holidays)):  # what is closed by name stays closed
                spans = (*spans, *spills[day])
            spans = (*spans, *extra.get(day, ()), *spilled_extra.get(day, ()))
            for cut in (*cuts.get(day, ()), *spilled_cuts.get(day, ())):
                spans = _without(spans, cut)
            if spans and _exists(zone, day):
                found += [(resolve_minute(zone, day, start), resolve_minute(zone, day, end)) for start, end in spans]
        return merged(found, first, last)

    def holiday_spans(self, first: int, last: int) -> list[NamedInterval]:
        """The local dates in [first, last] that only a holiday closes, as (from, to, name)."""
        zone = self.zone
        pattern = self.weekly_pattern()
        own_hours = {day for day, _ in self.exceptions}
        spans = ((*day_span(zone, day), name) for day, name in self.holidays if day not in own_hours and pattern[day.weekday()])
        return [(max(start, first), min(end, last), name or "holiday") for start, end, name in spans if start < last and end > first]


@dataclass(frozen=True)
class Cover:
    """The time in which both `ours` and `theirs` are open; dates and wall times are ours."""

    ours: OpenHours
    theirs: OpenHours

    @property
    def zone(self) -> ZoneInfo:
        """Our zone."""
        return self.ours.zone

    @property
    def always_open(self) -> bool:
        """Only if both are."""
        return self.ours.always_open and self.theirs.always_open

    def intervals(self, first: int, last: int) -> list[Interval]:
        """Intervals open on both sides."""
        ours, theirs = self.ours.intervals(first, last), self.theirs.intervals(first, last)
        both: list[Interval] = []
        mine = other = 0
        while mine < len(ours) and other < len(theirs):
            start, end = max(ours[mine][0], theirs[other][0]), min(ours[mine][1], theirs[other][1])
            if start < end:
                both.append((start, end))
            if ours[mine][1] <= theirs[other][1]:
                mine += 1
            else:
                other += 1
        return both

    def holiday_spans(self, first: int, last: int) -> list[NamedInterval]:
        """Holidays of either side; where both have one, ours names it first."""
        return sorted(self.ours.holiday_spans(first, last) + self.theirs.holiday_spans(first, last), key=lambda span: span[0])


def cover(ours: OpenHours, theirs: OpenHours) -> Cover:
    """Calendar algebra: open where both are, e.g. our calendar beside a customer's."""
    return Cover(ours, theirs)


def resolve_local(zone: ZoneInfo, wall: datetime) -> int:
    """Microseconds UTC of a naive wall time: forward by the gap where it does not exist, the first occurrence where it exists twice."""
    if wall.tzinfo is not None:
        raise ValueError(f"{wall.isoformat()} already has a zone; a wall time has none")
    # fold=0 reads a time in the gap with the offset before it, which is forward by the gap, and an ambiguous one as the first
    return (wall.replace(tzinfo=zone, fold=0) - EPOCH) // MICROSECOND


def local_date(zone: ZoneInfo, at: int) -> date:
    """The date on the wall of a zone at an instant (microseconds UTC)."""
    return (EPOCH + at * MICROSECOND).astimezone(zone).date()


def resolve_minute(zone: ZoneInfo, day: date, minute: int) -> int:
    """Microseconds UTC of `minute` minutes after midnight on the wall of `day` (MIDNIGHT = 0:00 of the next date)."""
    if minute >= MIDNIGHT:
        day, minute = day + timedelta(days=1), minute - MIDNIGHT
    return (datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone) - EPOCH) // MICROSECOND


def year_start(year: int) -> int:
    """Microseconds UTC of the first instant of a UTC year."""
    return (datetime(year, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND


def _dates(first: int, last: int) -> list[date]:
    """Every local date that may have an instant in [first, last], whatever the zone."""
    start = (EPOCH + first * MICROSECOND - _EDGE).date().toordinal()
    end = (EPOCH + last * MICROSECOND + _EDGE).date().toordinal()
    return [date.fromordinal(n) for n in range(start, end + 1)]


def day_span(zone: ZoneInfo, day: date) -> Interval:
    """The UTC instants of a local date, from its midnight to the next."""
    return resolve_minute(zone, day, 0), resolve_minute(zone, day, MIDNIGHT)


def _exists(zone: ZoneInfo, day: date) -> bool:
    """False for a date that a zone skipped (Samoa, 30 December 2011)."""
    start, end = day_span(zone, day)
    return start < end


def _cut_at_midnight(span: Span) -> tuple[Span, Span | None]:
    start, end = span
    return ((start, end), None) if end <= MIDNIGHT else ((start, MIDNIGHT), (0, end - MIDNIGHT))


def _by_date(dated: Iterable[tuple[date, tuple[Span, ...]]]) -> tuple[dict[date, tuple[Span, ...]], dict[date, tuple[Span, ...]]]:
    """The spans of each date, and what overnight ones spill into the next date, both cut at midnight."""
    own: dict[date, tuple[Span, ...]] = {}
    spilled: dict[date, tuple[Span, ...]] = {}
    for day, spans in dated:
        pairs = [_cut_at_midnight(span) for span in spans]
        own[day] = tuple(span for span, _ in pairs)
        rest = tuple(span for _, span in pairs if span)
        if rest:
            spilled[day + timedelta(days=1)] = rest
    return own, spilled


def _without(spans: tuple[Span, ...], cut: Span) -> tuple[Span, ...]:
    pieces = (piece for start, end in spans for piece in ((start, min(end, cut[0])), (max(start, cut[1]), end)))
    return tuple((start, end) for start, end in pieces if start < end)


def merged(found: list[Interval], first: int, last: int) -> list[Interval]:
    """Ascending, clipped to [first, last], empty ones dropped, touching and overlapping ones joined."""
    merged: list[Interval] = []
    for start, end in sorted((max(start, first), min(end, last)) for start, end in found):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
