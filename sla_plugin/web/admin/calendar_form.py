"""A calendar's definition as a form and back: a text field per weekday, a line per date."""

import re
from collections.abc import Mapping
from typing import Any

from werkzeug.datastructures import MultiDict

from sla_plugin.engine.calendar_definitions import WEEKDAYS, read_dated_spans, read_holidays, read_time_zone, read_weekly_hours
from sla_plugin.engine.calendars import Calendar
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked
from sla_plugin.web.admin.policy_form import sentence

_TITLES = (marked("Monday"), marked("Tuesday"), marked("Wednesday"), marked("Thursday"), marked("Friday"), marked("Saturday"), marked("Sunday"))
DAYS = dict(zip(WEEKDAYS, _TITLES, strict=True))
_LINE = re.compile(r"(?P<date>\S+)\s*(?P<rest>.*)")


def form_of(definition: Mapping[str, Any]) -> MultiDict[str, str]:
    """The form that shows a definition."""
    form: MultiDict[str, str] = MultiDict()
    form["time_zone"] = str(definition.get("time_zone") or "")
    hours = definition.get("hours") or {}
    if hours == "24x7":
        form["around"] = "yes"
    else:
        for day in WEEKDAYS:
            form[day] = ", ".join(_span(s) for s in hours.get(day) or ())
    form["holidays"] = "\n".join(f"{h['date']} {h.get('name', '')}".strip() if isinstance(h, Mapping) else str(h) for h in definition.get("holidays") or ())
    for part in ("exceptions", "breaks"):
        form[part] = "\n".join(f"{day} {', '.join(_span(s) for s in spans or ()) or 'closed'}" for day, spans in (definition.get(part) or {}).items())
    return form


def _span(value: Any) -> str:
    return str(value) if isinstance(value, str) else "-".join(map(str, value))


def definition_of(form: MultiDict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The definition a form says, and what is wrong with it: field of the form -> sentence."""
    errors: dict[str, str] = {}

    def read(field: str, reader: Any, value: Any) -> None:
        try:
            reader(value, field)
        except InvalidDefinition as problem:
            errors.setdefault(field, sentence(problem.problem))

    definition: dict[str, Any] = {"time_zone": form.get("time_zone", "").strip()}
    read("time_zone", read_time_zone, definition["time_zone"])
    if "around" in form:
        definition["hours"] = "24x7"
    else:
        definition["hours"] = {day: spans for day in WEEKDAYS if (spans := _spans(form.get(day, "")))}
        for day, spans in definition["hours"].items():
            read(day, read_weekly_hours, {day: spans})
    holidays, exceptions, breaks = (_lines(form.get(part, "")) for part in ("holidays", "exceptions", "breaks"))
    if holidays:
        definition["holidays"] = [{"date": day, "name": name} if name else day for day, name in holidays]
        read("holidays", read_holidays, definition["holidays"])
    for part, lines in (("exceptions", exceptions), ("breaks", breaks)):
        if lines:
            definition[part] = {day: [] if text.lower() in ("", "closed") else _spans(text) for day, text in lines}
            read(part, read_dated_spans, definition[part])
            twice = [day for day, _ in lines if sum(1 for other, _ in lines if other == day) > 1]
            if twice:
                errors.setdefault(part, gettext("%(day)s stands here twice; write its intervals on one line.", day=twice[0]))
    if not errors:
        try:
            definition = Calendar.from_definition(definition, "calendar").to_definition()
        except InvalidDefinition as problem:
            parts = problem.field.split(".")
            errors[parts[2] if len(parts) > 2 and parts[2] in WEEKDAYS else parts[1] if len(parts) > 1 else ""] = sentence(problem.problem)
    return definition, errors


def _spans(typed: str) -> list[str]:
    return [part.strip() for part in typed.replace("–", "-").replace("—", "-").replace(";", ",").split(",") if part.strip()]


def _lines(typed: str) -> list[tuple[str, str]]:
    found = []
    for line in typed.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match:
            found.append((match["date"], match["rest"].strip()))
    return found
