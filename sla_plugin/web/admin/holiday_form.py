"""The holidays of a calendar as a form and back: what is listed, where it comes from, and which count.

A row is known by its date. Rows of countries that are not chosen are kept out of sight as long as they are unticked: what somebody unticked stays so, whatever
is listed in between.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from sla_plugin.engine.calendar_definitions import read_holidays
from sla_plugin.engine.calendar_notes import holiday_entry
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.services.copy_holidays import source_of
from sla_plugin.services.list_holidays import OBSERVED, PUBLIC, Listed, list_holidays, nation

COLUMNS: Final = ("h-day", "h-name", "h-source", "h-kind")
MOST_COUNTRIES: Final = 8
_COUNTRY = re.compile(r"[A-Z]{2}(-.{1,40})?")
_FEED: Final = "feed "


@dataclass(frozen=True)
class Row:
    """A holiday of the form: `kind` is empty, or a word of list_holidays; `ticked`: it counts."""

    day: date
    name: str
    source: str
    kind: str
    ticked: bool

    @property
    def remembered(self) -> bool:
        """Whether it is worth knowing that it was unticked: it would be ticked when listed again."""
        return self.kind in ("", PUBLIC, OBSERVED) and (is_country(self.source) or self.source.startswith(_FEED))


def is_country(source: str) -> bool:
    """Whether a source is a country, `DE-BY`."""
    return _COUNTRY.fullmatch(source) is not None


def put_holidays(form: MultiDict[str, str], definition: Mapping[str, Any]) -> None:
    """Write the holidays of a valid definition into a form, with the countries that they are of."""
    rows = []
    for part, ticked in (("holidays", True), ("unticked", False)):
        entries = definition.get(part) or ()
        for entry, (day, name) in zip(entries, (read_holidays([e], part)[0] for e in entries), strict=True):
            rows.append(Row(day, name, str(entry.get("source") or "") if isinstance(entry, Mapping) else "", "", ticked))
    put_rows(form, rows)
    counted = [row.source for row in rows if row.ticked and is_country(row.source)]
    for source in dict.fromkeys(counted or [row.source for row in rows if is_country(row.source)]):
        country, _, subdivision = source.partition("-")
        form.add("country", country)
        form.add("subdivision", subdivision)


def put_rows(form: MultiDict[str, str], rows: Iterable[Row]) -> None:
    """Write rows into a form, by date."""
    ordered = sorted(rows, key=lambda row: row.day)
    for name, column in zip(COLUMNS, ("day", "name", "source", "kind"), strict=True):
        form.setlist(name, [str(getattr(row, column)) for row in ordered])
    form.setlist("tick", [row.day.isoformat() for row in ordered if row.ticked])


def rows_of(form: MultiDict[str, str]) -> list[Row]:
    """The rows of a form, by date, each date once. What the form's hidden fields cannot have said by themselves is left out."""
    ticks = set(form.getlist("tick"))
    found: dict[date, Row] = {}
    for told, name, source, kind in zip(*(form.getlist(column) for column in COLUMNS), strict=False):
        try:
            [(day, _)] = read_holidays([told], "holidays")
        except InvalidDefinition:
            continue
        found.setdefault(day, Row(day, " ".join(name.split())[:200], source[:200], kind[:40], told in ticks))
    return [found[day] for day in sorted(found)]


def holidays_of(form: MultiDict[str, str]) -> dict[str, Any]:
    """The parts of the definition that the rows say: those that count, and those that are known not to."""
    rows = rows_of(form)
    parts = {"holidays": [r for r in rows if r.ticked], "unticked": [r for r in rows if not r.ticked and r.remembered]}
    return {part: [holiday_entry(r.day, r.name, r.source) for r in chosen] for part, chosen in parts.items() if chosen}


def chosen_countries(form: MultiDict[str, str]) -> list[tuple[str, str]]:
    """(country, subdivision or "") as chosen, each once; a subdivision that is another country's is let go."""
    codes, parts = form.getlist("country"), form.getlist("subdivision")
    found: dict[tuple[str, str], None] = {}
    for number, code in enumerate(codes[:MOST_COUNTRIES]):
        part = parts[number] if number < len(parts) else ""
        try:
            known = dict(nation(code).subdivisions) if code else {}
        except InvalidDefinition:
            continue
        if code:
            found[code, part if part in known else ""] = None
    return list(found)


def shown_rows(form: MultiDict[str, str]) -> tuple[list[Row], list[Row]]:
    """The rows to show, and those to keep out of sight."""
    sources = {source_of(code, part or None) for code, part in chosen_countries(form)}
    rows = rows_of(form)
    hidden = [r for r in rows if not r.ticked and is_country(r.source) and r.source not in sources]
    return [r for r in rows if r not in hidden], hidden


def list_again(form: MultiDict[str, str], years: Collection[int], language: str) -> None:
    """List the chosen countries' holidays of some years: what was ticked or unticked stays so, what is new is ticked unless it is optional.

    Listed dates of countries that are no longer chosen go; earlier years, and dates that do not come from a country, stay.
    """
    chosen = chosen_countries(form)
    form.setlist("country", [code for code, _ in chosen])
    form.setlist("subdivision", [part for _, part in chosen])
    found: dict[date, Listed] = {}
    for code, part in chosen:
        for one in list_holidays(code, part or None, years, language, optional="optional" in form):
            if one.day not in found or (one.usual and not found[one.day].usual):
                found[one.day] = one
    rows = {row.day: row for row in rows_of(form)}
    kept = {day: row for day, row in rows.items() if not is_country(row.source) or day.year not in years or (not row.ticked and row.remembered)}
    for day, one in found.items():
        was = rows.get(day)
        if was is None or is_country(was.source):
            kept[day] = Row(day, one.name, one.source, "" if one.usual and one.kind == PUBLIC else one.kind, one.usual if was is None else was.ticked)
    put_rows(form, kept.values())


def add_rows(form: MultiDict[str, str], days: Mapping[date, str], source: str) -> int:
    """List dates from elsewhere, ticked; a date that is listed already stays as it is, but gets a name if it had none. How many are new."""
    rows = {row.day: row for row in rows_of(form)}
    new = 0
    for day, name in days.items():
        if day not in rows:
            rows[day] = Row(day, name, source, "", ticked=True)
            new += 1
        elif not rows[day].name and name:
            rows[day] = replace(rows[day], name=name)
    put_rows(form, rows.values())
    return new


def drop_source(form: MultiDict[str, str], source: str) -> None:
    """Take the rows of a source off the list."""
    put_rows(form, [row for row in rows_of(form) if row.source != source])


def by_year(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """Rows by year, in order."""
    years: dict[int, list[Row]] = {}
    for row in rows:
        years.setdefault(row.day.year, []).append(row)
    return years


def add_own(form: MultiDict[str, str]) -> dict[str, str]:
    """List a date of one's own, ticked; what is wrong with it: field -> sentence. What was typed stays until it is right."""
    typed, name = form.get("own-day", "").strip(), " ".join(form.get("own-name", "").split())
    try:
        [(day, _)] = read_holidays([typed], "own-day")
    except InvalidDefinition:
        return {"own-day": gettext("Write the date as 2026-12-24.")}
    if len(name) > 200:
        return {"own-name": gettext("A name has at most 200 characters.")}
    rows = {row.day: row for row in rows_of(form)}
    rows[day] = Row(day, name or (rows[day].name if day in rows else ""), rows[day].source if day in rows else "", "", ticked=True)
    put_rows(form, rows.values())
    form.pop("own-day", None)
    form.pop("own-name", None)
    return {}
