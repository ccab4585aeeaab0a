"""Public holidays copied into a calendar's definition: dates and names become the calendar's own, so that no later library says otherwise of the past."""

from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, Final

import holidays
from holidays.registry import COUNTRIES

from sla_plugin.engine.calendar_definitions import read_holidays
from sla_plugin.engine.calendar_notes import holiday_entry
from sla_plugin.errors import InvalidDefinition

_KEYS: Final = ("country", "subdivision", "years", "without")
_MOST_YEARS: Final = 20
_COUNTRIES: Final = {code: [name.replace("_", " ").title()] for name, (_, code, *_) in COUNTRIES.items()}
_FORM: Final = "{country: DE, subdivision: BY, years: [2026, 2027]}"


def copy_holidays(definition: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A calendar's definition with `holidays_of` replaced by the dates themselves, among its `holidays`; one without it stays as it is.

    `holidays_of` is one of `{country: DE, subdivision: BY, years: [2026, 2027], without: [2026-12-24]}`, or a list of them. A name that `holidays` gives a
    date stays; dates in `without` are ordinary days, noted as `unticked`. Names are in the country's first language. Raises InvalidDefinition naming the field.
    """
    if definition.get("holidays_of") is None:
        return {key: value for key, value in definition.items() if key != "holidays_of"}
    told, where_holidays, where_of = definition["holidays_of"], f"{where}.holidays", f"{where}.holidays_of"
    days: dict[date, tuple[str, str]] = {}
    unticked: dict[date, tuple[str, str]] = {}
    for one, place in _each(told, where_of):
        counted, without, source = _public_holidays(one, place)
        days |= {day: (name, source) for day, name in counted.items()}
        unticked |= {day: (name, source) for day, name in without.items()}
    for day, name in read_holidays(definition.get("holidays"), where_holidays):
        days[day] = (name or days.get(day, ("",))[0], days.get(day, ("", ""))[1])
    for day, name in read_holidays(definition.get("unticked"), f"{where}.unticked"):
        unticked.setdefault(day, (name, ""))
    copied = {"holidays": days, "unticked": {day: known for day, known in unticked.items() if day not in days}}
    rest = {key: value for key, value in definition.items() if key not in ("holidays", "holidays_of", "unticked")}
    return {**rest, **{key: [holiday_entry(day, *known) for day, known in sorted(found.items())] for key, found in copied.items() if found}}


def _each(told: Any, where: str) -> list[tuple[Mapping[str, Any], str]]:
    parts = [(one, f"{where}[{number}]") for number, one in enumerate(told)] if isinstance(told, list) else [(told, where)]
    for one, place in parts:
        if not isinstance(one, Mapping):
            raise InvalidDefinition(place, f"write {_FORM}")
        for key in one:
            if key not in _KEYS:
                raise InvalidDefinition(f"{place}.{key}", f"unknown; write {_FORM}, and without: [dates] for those that are ordinary days")
    return parts


def source_of(country: str, subdivision: str | None) -> str:
    """How a calendar names where a public holiday comes from: `DE-BY`."""
    return f"{country}-{subdivision}" if subdivision else country


def _public_holidays(told: Mapping[str, Any], where: str) -> tuple[dict[date, str], dict[date, str], str]:
    """The holidays of one country and its subdivision in some years, those that are unticked, and their source."""
    country = told.get("country")
    if not isinstance(country, str):  # YAML reads an unquoted NO as false
        raise InvalidDefinition(f"{where}.country", "write the country's two letters in quotes, e.g. 'DE'")
    country = country.upper()
    if country not in _COUNTRIES:
        raise InvalidDefinition(f"{where}.country", _unknown(str(told["country"]), _COUNTRIES, "write the country's two letters in quotes, e.g. 'DE'"))
    nation = holidays.country_holidays(country)
    subdivision = str(told["subdivision"]) if told.get("subdivision") is not None else None
    if subdivision is not None and subdivision not in nation.subdivisions:
        listed = f"{country} has {', '.join(nation.subdivisions)}" if nation.subdivisions else f"{country} has none; leave it out"
        raise InvalidDefinition(f"{where}.subdivision", _unknown(subdivision, nation.get_subdivision_aliases(), listed))
    years = _years(told.get("years"), f"{where}.years", nation.start_year, nation.end_year)
    in_force = holidays.country_holidays(country, subdiv=subdivision, years=years, language=nation.default_language)
    days = {day: name for day, name in in_force.items() if day.year in years}
    unticked = {}
    for number, (day, _) in enumerate(read_holidays(told.get("without"), f"{where}.without")):
        if day in days:
            unticked[day] = days.pop(day)
        else:
            near = min(days, key=lambda one: abs(one - day)) if days else None
            said = f"; the nearest is {near} ({days[near]})" if near is not None else ""
            raise InvalidDefinition(f"{where}.without[{number}]", f"{day} is none of these holidays{said}")
    return days, unticked, source_of(country, subdivision)


def _years(told: Any, where: str, first: int, last: int) -> list[int]:
    years = [told] if isinstance(told, int) else told
    if not isinstance(years, Sequence) or isinstance(years, str) or not years or not all(isinstance(y, int) and not isinstance(y, bool) for y in years):
        raise InvalidDefinition(where, "write the years to copy, e.g. [2026, 2027]")
    for year in years:
        if not first <= year <= last:
            raise InvalidDefinition(where, f"holidays of {year} are not known; the nearest year is {first if year < first else last}")
    if len(set(years)) > _MOST_YEARS:
        raise InvalidDefinition(where, f"at most {_MOST_YEARS} years at once; what is copied stays, later years can follow")
    return sorted(set(years))


def _unknown(word: str, known: Mapping[str, Sequence[str]], otherwise: str) -> str:
    """What to say of an unknown word: the nearest of `known` (code -> names), as it must be written, else what there is."""
    spelled = {name.lower(): (code, name) for code, names in known.items() for name in (*names, code)}
    near = get_close_matches(word.lower(), spelled, n=1, cutoff=0.5)
    if not near:
        return f"{word!r} is not known; {otherwise}"
    code, name = spelled[near[0]]
    return f"{word!r} is not known; did you mean {code}{f' ({name})' if name != code else ''}?"
