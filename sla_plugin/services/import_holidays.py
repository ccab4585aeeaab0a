"""Holidays out of an iCalendar file into a calendar, as a new version of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sla_plugin.engine.calendar_definitions import read_holidays
from sla_plugin.engine.calendars import Calendar
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.apply_policy_file import PolicyFile, Stored


@dataclass(frozen=True)
class Merged:
    """A calendar's definition with the holidays of a file: as a policy file to apply, with the dates it adds and those it drops."""

    file: PolicyFile
    added: Mapping[date, str]
    dropped: Mapping[date, str]


def merge_holidays(stored: Stored, name: str, days: Mapping[date, str], years: Collection[int], *, replace: bool) -> Merged:
    """The calendar `name` with `days` among its holidays; a name it has for a date stays. `replace`: its own holidays of `years` that the file lacks go.

    Raises InvalidDefinition if there is no such calendar.
    """
    if name not in stored.calendars:
        known = ", ".join(sorted(stored.calendars)) or "none"
        raise InvalidDefinition("calendar", f"there is no calendar {name!r}; there are: {known}. Make it first, with its hours and its time zone")
    definition = stored.calendars[name][1]
    own = dict(read_holidays(definition.get("holidays"), "holidays"))
    dropped = {day: called for day, called in own.items() if replace and day.year in years and day not in days}
    kept = {day: called or days.get(day, "") for day, called in own.items() if day not in dropped}
    merged: dict[str, Any] = {**definition, "holidays": [{"date": day.isoformat(), "name": called} for day, called in sorted({**days, **kept}.items())]}
    written = Calendar.from_definition(merged, f"calendars.{name}").to_definition()
    return Merged(PolicyFile({name: written}, {}), {day: called for day, called in days.items() if day not in own}, dropped)
