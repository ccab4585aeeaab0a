"""What people read of a calendar and no clock does: where a holiday comes from, which were unticked, labels of exceptions, hours of days switched off."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sla_plugin.engine.calendar_definitions import WEEKDAYS, Span, join, read_holidays, read_weekly_hours, span_texts
from sla_plugin.errors import InvalidDefinition

DATED: Final = ("exceptions", "extra", "breaks")  # parts of a definition whose dates may carry a label
_NO_HOURS: Final[tuple[tuple[Span, ...], ...]] = ((),) * 7
_LONGEST: Final = 200  # characters of a source or a label


@dataclass(frozen=True)
class Notes:
    """Beside a calendar's hours; two calendars that differ only here are equal.

    switched_off  weekly spans of days that are closed for now, Monday first
    sources       (date of a holiday, where it comes from: `DE-BY`, `feed office.example.com`) ascending
    unticked      (date, name, source) of holidays that are known and do not count
    labels        (part of DATED, date, label)
    """

    switched_off: tuple[tuple[Span, ...], ...] = _NO_HOURS
    sources: tuple[tuple[date, str], ...] = ()
    unticked: tuple[tuple[date, str, str], ...] = ()
    labels: tuple[tuple[str, date, str], ...] = ()

    def to_definition(self) -> dict[str, Any]:
        """The parts of a definition that are only notes: `switched_off` and `unticked`, where there are any."""
        found: dict[str, Any] = {}
        if any(self.switched_off):
            found["switched_off"] = {day: span_texts(spans) for day, spans in zip(WEEKDAYS, self.switched_off, strict=True) if spans}
        if self.unticked:
            found["unticked"] = [holiday_entry(*one) for one in self.unticked]
        return found


def read_notes(definition: Mapping[str, Any], where: str) -> Notes:
    """The notes of a definition whose other parts are valid. Raises InvalidDefinition naming the field."""
    unticked = read_holidays(definition.get("unticked"), join(where, "unticked"))
    counted = {day for day, _ in read_holidays(definition.get("holidays"), join(where, "holidays"))}
    for number, (day, _) in enumerate(unticked):
        if day in counted:
            raise InvalidDefinition(join(where, f"unticked[{number}]"), f"{day} is among the holidays as well; name it in one of the two")
    sources = dict(_sources(definition.get("unticked"), join(where, "unticked")))
    return Notes(
        switched_off=_switched_off(definition, join(where, "switched_off")),
        sources=tuple(_sources(definition.get("holidays"), join(where, "holidays"))),
        unticked=tuple((day, name, sources.get(day, "")) for day, name in unticked),
        labels=tuple(_labels(definition, where)),
    )


def holiday_entry(day: date, name: str, source: str) -> Any:
    """A holiday as a definition holds it: its date alone, or with what is known of it."""
    more = {key: value for key, value in (("name", name), ("source", source)) if value}
    return {"date": day.isoformat(), **more} if more else day.isoformat()


def _switched_off(definition: Mapping[str, Any], field: str) -> tuple[tuple[Span, ...], ...]:
    told = definition.get("switched_off")
    if told is None:
        return _NO_HOURS
    hours = definition.get("hours")
    if isinstance(hours, Mapping):
        for day in told if isinstance(told, Mapping) else ():
            if hours.get(day):
                raise InvalidDefinition(join(field, str(day)), "this day has hours as well; name it in one of the two")
    return read_weekly_hours(told, field)


def _sources(told: Any, field: str) -> list[tuple[date, str]]:
    found: dict[date, str] = {}
    for number, entry in enumerate(told or ()):
        if isinstance(entry, Mapping) and entry.get("source"):
            day = read_holidays([entry], field)[0][0]
            found.setdefault(day, _text(entry["source"], f"{field}[{number}].source"))
    return sorted(found.items())


def _labels(definition: Mapping[str, Any], where: str) -> Iterable[tuple[str, date, str]]:
    for part in DATED:
        for day, told in sorted((definition.get(part) or {}).items(), key=lambda item: str(item[0])):
            if isinstance(told, Mapping) and told.get("label"):
                at = day if isinstance(day, date) else date.fromisoformat(day)
                yield part, at, _text(told["label"], join(join(where, part), f"{day}.label"))


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise InvalidDefinition(field, f"write at most {_LONGEST} characters")
    return value
