"""A calendar's definition as a form and back: a switch and a text field per weekday, a row per date that is different. Holidays are in `holiday_form`."""

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from sla_plugin.engine.calendar_definitions import MIDNIGHT, WEEKDAYS, Span, read_dated_spans, read_time_zone, read_weekly_hours
from sla_plugin.engine.calendars import Calendar
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked
from sla_plugin.web.admin.holiday_form import holidays_of, put_holidays
from sla_plugin.web.admin.policy_form import sentence

DAYS = dict(
    zip(
        WEEKDAYS,
        (marked("Monday"), marked("Tuesday"), marked("Wednesday"), marked("Thursday"), marked("Friday"), marked("Saturday"), marked("Sunday")),
        strict=True,
    )
)
CLOSED, OTHER, EXTRA, BREAK = "closed", "hours", "extra", "break"
KINDS = {
    CLOSED: marked("Closed all day"),
    OTHER: marked("Other hours, instead of the week's"),
    EXTRA: marked("Extra shift, beside the day's hours"),
    BREAK: marked("Break, cut out of the day's hours"),
}
_PART = {CLOSED: "exceptions", OTHER: "exceptions", EXTRA: "extra", BREAK: "breaks"}
ROW: Final = ("x-day", "x-kind", "x-hours", "x-label")  # the columns of a row of exceptions
_TIME = r"(?P<{0}h>\d{{1,2}})(?:[:.h]?(?P<{0}m>\d{{2}}))?\s*(?P<{0}p>am|pm)?"
_INTERVAL = re.compile(_TIME.format("a") + r"\s*(?:[-\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}]|to)\s*" + _TIME.format("b"), re.ASCII | re.IGNORECASE)
_LOSES_A_MINUTE = re.compile(r"\b23[:.h]?59(?::59)?\b")


def spans_of(typed: str) -> list[str]:
    """The intervals of a text as definitions write them, `09:00-12:30`; what is none is left as it is, for the definition's reader to refuse.

    Read are commas and semicolons between intervals, any dash, `9-17`, `0900-1730`, `9.30-17`, `9am-5pm`.
    """
    return [_interval(part.strip()) for part in re.split(r"[,;]", typed) if part.strip()]


def _interval(part: str) -> str:
    found = _INTERVAL.fullmatch(part)
    if found is None:
        return part
    return f"{_clock(found, 'a')}-{_clock(found, 'b')}"


def _clock(found: re.Match[str], side: str) -> str:
    hour, half = int(found[f"{side}h"]), (found[f"{side}p"] or "").lower()
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return f"{hour:02}:{found[f'{side}m'] or '00'}"


def text_of(spans: Sequence[Any]) -> str:
    """Intervals of a definition as the form writes them: `09:00–12:30, 13:30–18:00`."""
    return ", ".join((span if isinstance(span, str) else "-".join(map(str, span))).replace("-", "\N{EN DASH}") for span in spans)


def form_of(definition: Mapping[str, Any]) -> MultiDict[str, str]:
    """The form that shows a valid definition."""
    form: MultiDict[str, str] = MultiDict()
    form["time_zone"] = str(definition.get("time_zone") or "")
    hours, off = definition.get("hours") or {}, definition.get("switched_off") or {}
    if hours == "24x7":
        form["around"] = "yes"
    for day in WEEKDAYS:
        own = hours.get(day) if isinstance(hours, Mapping) else None
        form[day] = text_of(own or off.get(day) or ())
        if own or (hours == "24x7" and day in off):
            form[f"on-{day}"] = "yes"
    for row in sorted(_rows_of(definition)):
        for name, value in zip(ROW, row, strict=True):
            form.add(name, value)
    put_holidays(form, definition)
    return form


def _rows_of(definition: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    rows = []
    for part, kind in (("exceptions", OTHER), ("extra", EXTRA), ("breaks", BREAK)):
        for day, told in (definition.get(part) or {}).items():
            spans, label = (told.get("hours") or (), told.get("label") or "") if isinstance(told, Mapping) else (told or (), "")
            rows.append((str(day), kind if spans or kind != OTHER else CLOSED, text_of(spans), str(label)))
    return rows


def rows_of(form: MultiDict[str, str]) -> list[tuple[str, str, str, str]]:
    """The rows of exceptions as typed: date, kind, hours, label."""
    days, kinds, hours, labels = ([typed.strip() for typed in form.getlist(name)] for name in ROW)
    return list(zip_longest(days, kinds, hours, labels, fillvalue=""))


def definition_of(form: MultiDict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The definition a form says, and what is wrong with it: field of the form -> sentence."""
    errors: dict[str, str] = {}
    definition: dict[str, Any] = {"time_zone": form.get("time_zone", "").strip()}
    _read(errors, "time_zone", read_time_zone, definition["time_zone"])
    definition |= _week(form, errors)
    dated, places = _dated(form, errors)
    definition |= dated | holidays_of(form)
    if not errors:
        try:
            definition = Calendar.from_definition(definition, "calendar").to_definition()
        except InvalidDefinition as problem:
            errors[_field_of(problem.field, places)] = sentence(problem.problem)
    return definition, {field: _placed(field, said) for field, said in errors.items()}


def _placed(field: str, said: str) -> str:
    """A sentence with its place in front, so that it is understood away from its field, too."""
    if field in DAYS:
        return f"{gettext(DAYS[field])}: {said}"
    return gettext("Exception %(number)d: %(said)s", number=int(field[2:]) + 1, said=said) if field.startswith("x-") else said


def _week(form: MultiDict[str, str], errors: dict[str, str]) -> dict[str, Any]:
    """Hours, and the hours of days that are switched off, which are remembered; of those, what cannot be read is let go."""
    around = "around" in form
    hours: dict[str, list[str]] = {}
    off: dict[str, list[str]] = {}
    for day in WEEKDAYS:
        ticked, typed = f"on-{day}" in form, form.get(day, "")
        spans = spans_of(typed)
        if around or not ticked:
            if spans and ticked is around and _readable({day: spans}):
                off[day] = spans
        elif not spans:
            errors[day] = gettext("Add hours, or untick the day.")
        elif _LOSES_A_MINUTE.search(typed):
            errors[day] = gettext("Use 24:00: 23:59 would lose a minute each midnight.")
        else:
            hours[day] = spans
            _read(errors, day, read_weekly_hours, {day: spans})
    if not (around or hours or errors.keys() & DAYS.keys()) and not any(day and kind in (OTHER, EXTRA) for day, kind, _, _ in rows_of(form)):
        errors["hours"] = gettext("No minute is ever open, so no promise could be kept. Tick a day, or choose 24 × 7.")
    found: dict[str, Any] = {"hours": "24x7" if around else hours}
    return {**found, "switched_off": off} if off and _readable(off) else found


def _readable(week: Mapping[str, list[str]]) -> bool:
    try:
        read_weekly_hours(week, "hours")
    except InvalidDefinition:
        return False
    return True


def _dated(form: MultiDict[str, str], errors: dict[str, str]) -> tuple[dict[str, Any], dict[tuple[str, str], str]]:
    """The dated parts of the definition, and the row of the form that each date of them stands in."""
    parts: dict[str, dict[str, Any]] = {}
    places: dict[tuple[str, str], str] = {}
    for number, (day, kind, typed, label) in enumerate(rows_of(form)):
        if not (day or typed or label):
            continue
        field = f"x-{number}"
        part, spans = _PART.get(kind, ""), spans_of(typed)
        if not day:
            errors[field] = gettext("Say which date this is.")
        elif not part:
            errors[field] = gettext("Choose what is different on this date.")
        elif kind == CLOSED and spans:
            errors[field] = gettext("A closed day has no hours: empty them, or choose other hours.")
        elif kind != CLOSED and not spans:
            errors[field] = gettext("Write the hours, such as 09:00–12:00, or choose Closed all day.")
        elif _LOSES_A_MINUTE.search(typed):
            errors[field] = gettext("Use 24:00: 23:59 would lose a minute each midnight.")
        elif (part, day) in places:
            errors[field] = gettext("This date stands above already; write its hours in one row.")
        elif len(label) > 200:
            errors[field] = gettext("A label has at most 200 characters.")
        else:
            places[part, day] = field
            parts.setdefault(part, {})[day] = {"hours": spans, "label": label} if label else spans
            _read(errors, field, read_dated_spans, {day: spans})
    return parts, places


def _read(errors: dict[str, str], field: str, reader: Any, value: Any) -> None:
    try:
        reader(value, field)
    except InvalidDefinition as problem:
        errors.setdefault(field, sentence(problem.problem))


def _field_of(place: str, rows: Mapping[tuple[str, str], str]) -> str:
    """The field of the form for a place in the definition: `calendar.hours.mon[0]`, `calendar.exceptions.2026-12-24[1]`."""
    parts = place.split(".")[1:]
    last = re.sub(r"\[.*", "", parts[1]) if len(parts) > 1 else ""
    if (parts[0] if parts else "", last) in rows:
        return rows[parts[0], last]
    return last if last in WEEKDAYS else parts[0] if parts and parts[0] in ("time_zone", "hours") else ""


def change_form(form: MultiDict[str, str]) -> bool:
    """What a button of the form does to the form alone (`copy`, `fix`, `row`): True if one was pressed. Nothing is checked, nothing is lost."""
    if copy := form.pop("copy", ""):
        source, _, target = copy.partition(":")
        for day in _targets(source, target):
            form[day] = form.get(source, "")
            form[f"on-{day}"] = "yes"
    elif fix := form.pop("fix", ""):
        if fix in WEEKDAYS:
            form[fix] = _LOSES_A_MINUTE.sub("24:00", form.get(fix, ""))
    elif row := form.pop("row", ""):
        rows = [r for number, r in enumerate(rows_of(form)) if row != str(number)] + ([("", CLOSED, "", "")] if row == "add" else [])
        for column, name in enumerate(ROW):
            form.setlist(name, [r[column] for r in rows])
    else:
        return False
    return True


def _targets(source: str, target: str) -> list[str]:
    if source not in WEEKDAYS:
        return []
    groups = {"all": WEEKDAYS, "weekdays": WEEKDAYS[:5]}
    return [day for day in groups.get(target, (target,) if target in WEEKDAYS else ()) if day != source]


def week_of(form: MultiDict[str, str]) -> list[dict[str, Any]]:
    """The seven rows of the form: key, name, whether it counts, the text, its hours (microseconds, None if unreadable), where its last shift ends next day."""
    rows: list[dict[str, Any]] = []
    for number, day in enumerate(WEEKDAYS):
        try:
            spans: tuple[Span, ...] = read_weekly_hours({day: spans_of(form.get(day, ""))}, day)[number]
        except InvalidDefinition:
            spans = ()
        over = spans[-1][1] - MIDNIGHT if spans and spans[-1][1] > MIDNIGHT else 0
        rows.append(
            {
                "key": day,
                "title": DAYS[day],
                "on": f"on-{day}" in form,
                "text": form.get(day, ""),
                "time": sum(end - start for start, end in spans) * 60_000_000,
                "into": (DAYS[WEEKDAYS[(number + 1) % 7]], f"{over // 60:02}:{over % 60:02}") if over else None,
            }
        )
    return rows
