"""Public holidays as they are listed before they count: this year and the next, with what kind each is, in the reader's language where there is one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

import holidays
from babel import Locale
from holidays.registry import COUNTRIES

from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.copy_holidays import source_of

PUBLIC: Final = "public"
OBSERVED: Final = "observed"
_NO_DAYS_OFF: Final = ("workday", "school")  # days worked on; weeks without school, in which others work
_ENGLISH: Final = ("en_US", "en_GB", "en_CA", "en_IN")


@dataclass(frozen=True)
class Listed:
    """A holiday that somebody may tick. `kind` is PUBLIC, OBSERVED (the free day for one on a weekend) or a category of the library: optional, bank …"""

    day: date
    name: str
    source: str
    kind: str

    @property
    def usual(self) -> bool:
        """Ticked unless somebody says otherwise; what is optional there is not."""
        return self.kind in (PUBLIC, OBSERVED)


@dataclass(frozen=True)
class Nation:
    """A country as it is offered: subdivisions (code, name) by name; `optional`: the library knows days there that are free for some only."""

    code: str
    subdivisions: Sequence[tuple[str, str]]
    optional: bool


@cache
def country_names(language: str) -> tuple[tuple[str, str], ...]:
    """(code, name in a language) of every country that is known, by name."""
    known = Locale.parse(language).territories
    names = {code: known.get(code) or name.replace("_", " ").title() for name, (_, code, *_) in COUNTRIES.items()}
    return tuple(sorted(names.items(), key=lambda item: item[1].casefold()))


@cache
def nation(country: str) -> Nation:
    """What is known of a country, by its two letters. Raises InvalidDefinition("country") if nothing is."""
    found = _entity(country)
    aliases = found.get_subdivision_aliases()
    names = [(code, aliases[code][0] if aliases.get(code) else code) for code in found.subdivisions]
    return Nation(country, tuple(sorted(names, key=lambda one: one[1].casefold())), bool(_categories(found)))


def list_holidays(country: str, subdivision: str | None, years: Collection[int], language: str, *, optional: bool = False) -> list[Listed]:
    """The holidays of a country and subdivision in some years, by date; `optional` adds those that are free for some only.

    Raises InvalidDefinition: "country", or "subdivision", is not known.
    """
    place = nation(country)
    if subdivision and subdivision not in dict(place.subdivisions):
        raise InvalidDefinition("subdivision", f"{subdivision!r} is no part of {country}")
    source = source_of(country, subdivision)
    found: dict[date, Listed] = {}
    categories = _categories(_entity(country)) if optional else ()
    exact = _dates(country, subdivision, years, language, PUBLIC, observed=False)
    for day, name in _dates(country, subdivision, years, language, PUBLIC, observed=True).items():
        found[day] = Listed(day, name, source, PUBLIC if day in exact else OBSERVED)
    for category in categories:
        for day, name in _dates(country, subdivision, years, language, category, observed=True).items():
            found.setdefault(day, Listed(day, name, source, category))
    return [found[day] for day in sorted(found)]


def _entity(country: str) -> holidays.HolidayBase:
    if country not in {code for _, (_, code, *_) in COUNTRIES.items()}:
        raise InvalidDefinition("country", f"{country!r} is no country whose holidays are known")
    return holidays.country_holidays(country)


def _categories(entity: holidays.HolidayBase) -> tuple[str, ...]:
    return tuple(category for category in entity.supported_categories if category not in (PUBLIC, *_NO_DAYS_OFF))


def _dates(country: str, subdivision: str | None, years: Collection[int], language: str, category: str, *, observed: bool) -> dict[date, str]:
    entity = _entity(country)
    if PUBLIC not in entity.supported_categories and category == PUBLIC:
        return {}
    known = range(entity.start_year, entity.end_year + 1)
    wanted = [year for year in years if year in known]
    spoken = _spoken(entity, language)
    listed = holidays.country_holidays(country, subdiv=subdivision or None, years=wanted, categories=(category,), observed=observed, language=spoken)
    return {day: " ".join(name.replace(";", " ·").split())[:200] for day, name in listed.items() if day.year in wanted}


def _spoken(entity: holidays.HolidayBase, language: str) -> str | None:
    """The library's word for a language that it has the country's names in, else the country's own."""
    spoken = entity.supported_languages
    for word in (language, *(one for one in spoken if one.split("_")[0] == language), *(_ENGLISH if language == "en" else ())):
        if word in spoken:
            return str(word)
    return str(entity.default_language) if entity.default_language else None
