"""Holidays by country and subdivision: copied with their names, and refused with the nearest word."""

from datetime import date
from typing import Any

import holidays
import pytest

from sla_plugin.engine.calendars import Calendar
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.apply_policy_file import read_policy_file
from sla_plugin.services.copy_holidays import copy_holidays


def copied(of: Any, **more: Any) -> dict[str, str]:
    """Date -> name of the definition's holidays."""
    definition = copy_holidays({"time_zone": "Europe/Berlin", "hours": "24x7", "holidays_of": of, **more}, "calendars.A")
    assert "holidays_of" not in definition
    return {h["date"]: h.get("name", "") if isinstance(h, dict) else "" for h in (h if isinstance(h, dict) else {"date": h} for h in definition["holidays"])}


BAVARIA = {"country": "DE", "subdivision": "BY", "years": [2026]}


def test_dates_and_names_are_those_of_the_country() -> None:
    found = copied(BAVARIA)
    assert found["2026-01-06"] == "Heilige Drei Könige"
    assert found["2026-10-03"] == "Tag der Deutschen Einheit"
    assert "2026-01-06" not in copied({"country": "de", "years": 2026})  # no holiday everywhere in Germany
    assert set(found) == {day.isoformat() for day in holidays.country_holidays("DE", subdiv="BY", years=2026)}


def test_years_are_those_asked_for() -> None:
    assert {day[:4] for day in copied({**BAVARIA, "years": [2027, 2026, 2027]})} == {"2026", "2027"}


def test_some_can_be_unticked_and_own_ones_stay() -> None:
    found = copied({**BAVARIA, "without": ["2026-01-06", date(2026, 10, 3)]}, holidays=["2026-12-24", {"date": "2026-12-25", "name": "Ours"}, "2026-12-26"])
    assert "2026-01-06" not in found
    assert "2026-10-03" not in found
    assert (found["2026-12-24"], found["2026-12-25"], found["2026-12-26"]) == ("", "Ours", "Zweiter Weihnachtstag")


def test_of_two_countries_both_count() -> None:
    found = copied([BAVARIA, {"country": "US", "subdivision": "CA", "years": [2026]}])
    assert "2026-07-03" in found  # the fourth is a Saturday
    assert "2026-01-06" in found


def test_a_calendar_without_it_stays_as_it_is() -> None:
    definition = {"time_zone": "UTC", "hours": "24x7", "holidays": ["2026-01-01"]}
    assert copy_holidays(definition, "calendars.A") == definition
    assert copy_holidays({**definition, "holidays_of": None}, "calendars.A") == definition


@pytest.mark.parametrize(
    ("of", "field", "said"),
    [
        ({"country": "DEU", "years": [2026]}, "country", "did you mean DE?"),
        ({"country": "Germny", "years": [2026]}, "country", "did you mean DE (Germany)?"),
        ({"country": "123", "years": [2026]}, "country", "two letters"),
        ({"country": False, "years": [2026]}, "country", "in quotes"),
        ({"years": [2026]}, "country", "in quotes"),
        ({"country": "DE", "subdivision": "Bayern", "years": [2026]}, "subdivision", "did you mean BY (Bayern)?"),
        ({"country": "DE", "subdivision": "QQQ", "years": [2026]}, "subdivision", "DE has BB, BE"),
        ({"country": "SE", "subdivision": "M", "years": [2026]}, "subdivision", "leave it out"),
        ({"country": "DE"}, "years", "write the years"),
        ({"country": "DE", "years": []}, "years", "write the years"),
        ({"country": "DE", "years": "2026"}, "years", "write the years"),
        ({"country": "DE", "years": [True]}, "years", "write the years"),
        ({"country": "DE", "years": [2500]}, "years", "nearest year is 2100"),
        ({"country": "DE", "years": list(range(2000, 2030))}, "years", "at most 20"),
        ({**BAVARIA, "without": ["2026-12-24"]}, "without[0]", "nearest is 2026-12-25"),
        ({**BAVARIA, "without": ["tomorrow"]}, "without[0]", "no date"),
        ({**BAVARIA, "region": "BY"}, "region", "unknown"),
        ("DE", "", "write {country"),
    ],
    ids=[
        *("three letters", "nearly a name", "digits", "NO without quotes", "none", "a name", "unknown", "has none", "no years", "empty years", "a text"),
        *("no number", "far away", "too many", "not one of them", "no date", "unknown word", "no mapping"),
    ],
)
def test_refusals_name_the_field_and_the_nearest(of: Any, field: str, said: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        copied(of)
    assert refused.value.field == ".".join(filter(None, ["calendars.A.holidays_of", field]))
    assert said in refused.value.problem


def test_a_policy_file_stores_the_dates_themselves() -> None:
    text = """
calendars:
  Munich:
    time_zone: Europe/Berlin
    hours: {mon: ["09:00-17:00"]}
    holidays_of: {country: DE, subdivision: BY, years: [2026], without: [2026-08-15]}
"""
    with pytest.raises(InvalidDefinition, match=r"calendars\.Munich\.holidays_of\.without\[0\]"):
        read_policy_file(text)  # the Assumption of Mary is a holiday in Catholic towns of Bavaria only
    stored = read_policy_file(text.replace("2026-08-15", "2026-01-06")).calendars["Munich"]
    assert "holidays_of" not in stored
    names = dict(Calendar.from_definition(stored, "Munich").holidays)
    assert names[date(2026, 4, 6)] == "Ostermontag"
    assert date(2026, 1, 6) not in names
