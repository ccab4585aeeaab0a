"""What pages say about calendars, in the reader's language: dates, open or closed now, clock changes, where a holiday comes from."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from zoneinfo import ZoneInfo

from sla_plugin.engine.calendar_definitions import Span
from sla_plugin.engine.clock_changes import ClockChange, utc_offset
from sla_plugin.engine.durations import format_duration
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked
from sla_plugin.services.list_holidays import OBSERVED, nation
from sla_plugin.services.time_zones import known_zones
from sla_plugin.web import formats
from sla_plugin.web.admin.holiday_form import is_country

KIND_WORDS = {
    OBSERVED: marked("observed: the free day for one on a weekend"),
    "bank": marked("bank holiday"),
    "government": marked("government offices only"),
    "half_day": marked("half a day"),
    "optional": marked("optional"),
    "unofficial": marked("unofficial"),
    "de_facto": marked("usual, not by law"),
}
# names that are kept for old files, and offsets that are no place where people work
_NO_PLACES = ("Etc/", "US/", "Canada/", "Brazil/", "Chile/", "Mexico/", "SystemV/", "posix/", "right/")


def span_text(spans: tuple[Span, ...]) -> str:
    """`09:00–12:30, 13:30–18:00`; closed where there is none."""
    return ", ".join(f"{a // 60:02}:{a % 60:02}\N{EN DASH}{b // 60:02}:{b % 60:02}" for a, b in spans) or gettext("closed")


def now_sentence(open_now: bool, until: int | None, now: int, zone: ZoneInfo) -> str:
    """`open now, until 18:00`; `closed now, opens Thu 09:00`; on the calendar's own wall clock."""
    if until is None:
        return gettext("always open") if open_now else gettext("closed, and opens at no time within a year")
    at = formats.instant(until, now, zone)
    return gettext("open now, until %(at)s", at=at) if open_now else gettext("closed now, opens %(at)s", at=at)


def change_sentence(change: ClockChange | None, gained: int, zone: str) -> str:
    """`Sun 28 Mar 2027: clocks go forward 02:00 → 03:00: no open time lost.`"""
    if change is None:
        return gettext("The clocks of %(zone)s do not change within a year.", zone=zone)
    times = {"day": formats.full_day(change.before.date()), "before": f"{change.before:%H:%M}", "after": f"{change.after:%H:%M}"}
    if change.forward:
        said = gettext("%(day)s: clocks go forward %(before)s → %(after)s", **times)
    else:
        said = gettext("%(day)s: clocks go back %(before)s → %(after)s", **times)
    if gained < 0:
        return gettext("%(said)s: %(time)s less open time that day.", said=said, time=format_duration(-gained))
    if gained > 0:
        return gettext("%(said)s: %(time)s more open time that day.", said=said, time=format_duration(gained))
    return gettext("%(said)s: no open time lost.", said=said) if change.forward else gettext("%(said)s: no open time gained.", said=said)


def source_text(source: str, countries: Mapping[str, str]) -> str:
    """Where a holiday comes from: `Germany, Bayern`, `feed office.example.com`; by hand where nothing is known."""
    if not is_country(source):
        return source or gettext("by hand")
    code, _, part = source.partition("-")
    try:
        name = dict(nation(code).subdivisions).get(part, part)
    except InvalidDefinition:
        name = part
    return ", ".join(filter(None, (countries.get(code, code), name)))


def zones(now: int) -> list[tuple[str, str]]:
    """(name, `UTC+1`) of every zone that is a place, and UTC, by name; offsets as they are at an instant."""
    return [(name, _offset_text(utc_offset(ZoneInfo(name), now))) for name in _places()]


@cache
def _places() -> tuple[str, ...]:
    return ("UTC", *sorted(name for name in known_zones() if "/" in name and not name.startswith(_NO_PLACES)))


def _offset_text(offset: timedelta) -> str:
    minutes = offset // timedelta(minutes=1)
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")
