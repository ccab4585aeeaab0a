"""The calendar's form without a browser: what it reads, what it refuses and where, and that it says again what it was told."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from sla_plugin.engine.calendar_definitions import WEEKDAYS
from sla_plugin.engine.calendars import Calendar
from sla_plugin.web.admin.calendar_form import change_form, definition_of, form_of, rows_of, spans_of, week_of
from sla_plugin.web.admin.holiday_form import add_own, add_rows, drop_source, list_again, shown_rows
from sla_plugin.web.admin.holiday_form import rows_of as holiday_rows

OFFICE = {"time_zone": "Europe/Berlin", "hours": {day: ["09:00-12:30", "13:30-18:00"] for day in WEEKDAYS[:5]}}


def typed(definition: dict[str, Any] | None = None, **fields: str | None) -> MultiDict[str, str]:
    """The office's form with some fields typed over; None removes one (a tick)."""
    form = form_of(definition or OFFICE)
    for name, value in fields.items():
        key = name.replace("_on_", "on-")
        if value is None:
            form.pop(key, None)
        else:
            form[key] = value
    return form


def ticked(form: MultiDict[str, str]) -> list[str]:
    """The dates that count."""
    return [row.day.isoformat() for row in holiday_rows(form) if row.ticked]


# --- what is typed ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("09:00–12:30, 13:30–18:00", ["09:00-12:30", "13:30-18:00"]),
        ("9-17", ["09:00-17:00"]),
        ("9 - 17", ["09:00-17:00"]),
        ("9:00—17:30; 18-20", ["09:00-17:30", "18:00-20:00"]),
        ("0900-1730", ["09:00-17:30"]),
        ("9.30 to 17", ["09:30-17:00"]),
        ("9am-5pm", ["09:00-17:00"]),
        ("12am-12pm", ["00:00-12:00"]),
        ("22:00-06:00", ["22:00-06:00"]),
        ("0-24", ["00:00-24:00"]),
        ("", []),
        (" , ", []),
        ("nine to five", ["nine to five"]),
        ("9-17-18", ["9-17-18"]),
        ("930-17", ["09:30-17:00"]),
        ("25-26", ["25:00-26:00"]),  # the reader of definitions says what is wrong
    ],
)
def test_intervals_are_read_as_people_write_them(text: str, spans: list[str]) -> None:
    assert spans_of(text) == spans


minutes = st.integers(0, 1439)


@st.composite
def day_hours(draw: st.DrawFn) -> list[str]:
    edges = sorted(draw(st.lists(st.integers(0, 1380), unique=True, max_size=6)))
    spans = [f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return spans + draw(st.sampled_from([[], ["23:30-24:00"], ["23:15-00:00"]]))


@st.composite
def week_hours(draw: st.DrawFn) -> Any:
    """Every other day anything, the days after them a late start, so that overnight shifts fit."""
    if draw(st.booleans()) and draw(st.booleans()):
        return "24x7"
    week = {day: draw(day_hours()) for day in WEEKDAYS[::2]}
    overnight = draw(st.sampled_from([[], ["22:00-06:00"], ["10:00-12:00", "20:00-00:00"]]))
    return {
        "mon": ["00:00-24:00"],
        **({"tue": overnight} if overnight else {}),
        **{day: spans for day, spans in week.items() if spans and day not in ("mon", "wed")},
    }


dates = st.dates(date(2020, 1, 1), date(2040, 1, 1)).map(date.isoformat)
labelled = st.tuples(day_hours(), st.sampled_from(["", "short day", "a, b – c"])).map(lambda pair: {"hours": pair[0], "label": pair[1]} if pair[1] else pair[0])
filled = labelled.filter(lambda told: bool(told["hours"] if isinstance(told, dict) else told))
sources = st.sampled_from(["", "DE-BY", "feed office.example.com"])
holiday = st.fixed_dictionaries({"date": dates, "name": st.sampled_from(["", "Neujahr", 'A <b> "quoted"']), "source": sources})
definitions = st.fixed_dictionaries(
    {"time_zone": st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]), "hours": week_hours()},
    optional={
        "holidays": st.lists(holiday, unique_by=lambda one: one["date"]),
        "exceptions": st.dictionaries(dates, labelled),
        "extra": st.dictionaries(dates, filled),
        "breaks": st.dictionaries(dates, filled),
        "unticked": st.just([{"date": "2041-12-24", "name": "Heiligabend", "source": "DE-BY"}]),
    },
)


@given(definitions)
def test_a_form_says_what_its_definition_said(told: dict[str, Any]) -> None:
    definition = Calendar.from_definition(told, "x").to_definition()
    again, errors = definition_of(form_of(definition))
    assert errors == {}
    assert again == definition


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"time_zone": "Europe/Berlyn"}, "time_zone", "did you mean Europe/Berlin?"),
        ({"time_zone": ""}, "time_zone", "missing"),
        ({"mon": "09:00-23:59"}, "mon", "Monday: Use 24:00: 23:59 would lose a minute each midnight."),
        ({"mon": "09:00-23:59:59"}, "mon", "Use 24:00"),
        ({"thu": ""}, "thu", "Thursday: Add hours, or untick the day."),
        ({"tue": "9-12, 11-13"}, "tue", "overlaps 09:00-12:00"),
        ({"tue": "nine to five"}, "tue", "no interval"),
        ({"tue": "9-25"}, "tue", "no time of day"),
        ({"tue": "9-9"}, "tue", "is empty"),
        ({"tue": "24-2"}, "tue", "cannot start at 24:00"),
        ({"mon": "22:00-06:00", "tue": "05:00-09:00"}, "tue", "overnight shift of mon"),
        ({"_on_sun": "yes", "sun": "22-10"}, "mon", "overnight shift of sun"),
        ({f"_on_{day}": None for day in WEEKDAYS}, "hours", "No minute is ever open"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_wrong_field_is_named(fields: dict[str, str | None], field: str, says: str) -> None:
    _, errors = definition_of(typed(**fields))
    assert list(errors) == [field]
    assert says in errors[field]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("", "closed", "", "no date"), "Say which date"),
        (("2026-02-30", "closed", "", ""), "no date of the calendar"),
        (("24.12.2026", "closed", "", ""), "no date"),
        (("2026-12-24", "closed", "9-12", ""), "A closed day has no hours"),
        (("2026-12-24", "hours", "", ""), "Write the hours"),
        (("2026-12-24", "extra", "", ""), "Write the hours"),
        (("2026-12-24", "hours", "9-23:59", ""), "Use 24:00"),
        (("2026-12-24", "hours", "9 till noon", ""), "no interval"),
        (("2026-12-24", "hours", "9-12, 11-13", ""), "overlaps"),
        (("2026-12-24", "party", "9-12", ""), "Choose what is different"),
        (("2026-12-24", "closed", "", "x" * 201), "at most 200"),
        (("2026-12-31", "closed", "", ""), "stands above already"),
        (("2027-01-01", "hours", "5-9", ""), "overlaps the overnight interval"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_wrong_exception_is_named_by_its_row(row: tuple[str, ...], says: str) -> None:
    form = typed({**OFFICE, "exceptions": {"2026-12-31": ["22:00-06:00"]}})
    for name, value in zip(("x-day", "x-kind", "x-hours", "x-label"), row, strict=True):
        form.add(name, value)
    _, errors = definition_of(form)
    assert list(errors) == ["x-1"]
    assert says in errors["x-1"]
    assert errors["x-1"].startswith("Exception 2: ")


def test_each_kind_of_exception_has_its_place() -> None:
    form = typed()
    for row in (
        ("2026-12-31", "closed", "", "stocktaking"),
        ("2026-12-24", "hours", "9-12", ""),
        ("2026-12-19", "extra", "10-14", "Christmas rush"),
        ("2026-12-18", "break", "12-13", ""),
        ("", "closed", "", ""),
    ):
        for name, value in zip(("x-day", "x-kind", "x-hours", "x-label"), row, strict=True):
            form.add(name, value)
    definition, errors = definition_of(form)
    assert errors == {}
    assert definition["exceptions"] == {"2026-12-24": ["09:00-12:00"], "2026-12-31": {"hours": [], "label": "stocktaking"}}
    assert definition["extra"] == {"2026-12-19": {"hours": ["10:00-14:00"], "label": "Christmas rush"}}
    assert definition["breaks"] == {"2026-12-18": ["12:00-13:00"]}


def test_a_day_that_is_switched_off_keeps_its_hours() -> None:
    definition, errors = definition_of(typed(sat="10-14"))
    assert errors == {}
    assert "sat" not in definition["hours"]
    form = form_of(definition)
    assert (form["sat"], "on-sat" in form) == ("10:00–14:00", False)
    form["on-sat"] = "yes"
    assert definition_of(form)[0]["hours"]["sat"] == ["10:00-14:00"]


def test_what_cannot_be_read_of_a_closed_day_is_let_go() -> None:
    definition, errors = definition_of(typed(sat="some time"))
    assert errors == {}
    assert "switched_off" not in definition


def test_a_week_around_the_clock_keeps_its_hours() -> None:
    definition, errors = definition_of(typed(around="yes", mon="whatever"))
    assert errors == {}
    assert definition["hours"] == "24x7"
    form = form_of(definition)
    del form["around"]
    assert definition_of(form)[0]["hours"] == {day: spans for day, spans in OFFICE["hours"].items() if day != "mon"}  # type: ignore[attr-defined]


def test_hours_of_dates_alone_are_enough() -> None:
    form = typed(**{f"_on_{day}": None for day in WEEKDAYS})
    for name, value in (("x-day", "2026-12-19"), ("x-kind", "extra"), ("x-hours", "10-14"), ("x-label", "")):
        form.add(name, value)
    definition, errors = definition_of(form)
    assert (errors, definition["hours"]) == ({}, {})


def test_a_week_says_its_hours_and_where_a_night_ends() -> None:
    rows = {row["key"]: row for row in week_of(typed(wed="22:00-06:00", sun="20-24", fri="what"))}
    assert (rows["mon"]["time"], rows["mon"]["into"]) == (8 * 3_600_000_000, None)
    assert (rows["wed"]["time"], rows["wed"]["into"]) == (8 * 3_600_000_000, ("Thursday", "06:00"))
    assert (rows["sun"]["time"], rows["sun"]["into"]) == (4 * 3_600_000_000, None)
    assert rows["fri"]["time"] == 0


# --- buttons ---------------------------------------------------------------------------------------------------------
def test_buttons_change_the_form_and_nothing_else() -> None:
    form = typed(mon="8-16", copy="mon:weekdays")
    assert change_form(form)
    assert [form[day] for day in WEEKDAYS] == ["8-16"] * 5 + ["", ""]
    form["copy"] = "mon:sun"
    assert change_form(form)
    assert (form["sun"], form["on-sun"]) == ("8-16", "yes")
    form["mon"], form["fix"] = "9-12, 13-23:59", "mon"
    assert change_form(form)
    assert form["mon"] == "9-12, 13-24:00"
    assert not change_form(form)
    for nonsense in ("", "mon", "xyz:all", "mon:xyz"):
        form["copy"] = nonsense
        change_form(form)
    assert form["tue"] == "8-16"


def test_rows_are_added_and_removed() -> None:
    form = typed({**OFFICE, "exceptions": {"2026-12-24": ["09:00-12:00"], "2026-12-31": []}}, row="add")
    assert change_form(form)
    assert len(rows_of(form)) == 3
    form["row"] = "0"
    assert change_form(form)
    assert rows_of(form) == [("2026-12-31", "closed", "", ""), ("", "closed", "", "")]


# --- holidays --------------------------------------------------------------------------------------------------------
def listed(country: str, subdivision: str = "", form: MultiDict[str, str] | None = None, **more: str) -> MultiDict[str, str]:
    """The form after somebody listed the holidays of a country."""
    form = form if form is not None else typed()
    form.setlist("country", [country])
    form.setlist("subdivision", [subdivision])
    for name, value in more.items():
        form[name] = value
    list_again(form, (2026, 2027), "en")
    return form


def untick(form: MultiDict[str, str], *days: str) -> None:
    form.setlist("tick", [day for day in form.getlist("tick") if day not in days])


def test_holidays_are_listed_with_their_source_before_they_count() -> None:
    form = listed("DE", "BY")
    epiphany = next(row for row in holiday_rows(form) if row.day == date(2026, 1, 6))
    assert (epiphany.name, epiphany.source, epiphany.ticked) == ("Epiphany", "DE-BY", True)
    definition, errors = definition_of(form)
    assert errors == {}
    assert {"date": "2026-01-06", "name": "Epiphany", "source": "DE-BY"} in definition["holidays"]


def test_what_was_unticked_survives_another_country_and_back_and_a_save() -> None:
    form = listed("DE", "BY")
    untick(form, "2026-01-06", "2026-12-26")
    listed("AT", form=form)
    assert {"2026-01-06", "2026-12-26"}.isdisjoint(ticked(form))
    assert {row.source for row in holiday_rows(form) if row.ticked} == {"AT"}
    saved, errors = definition_of(form)
    assert errors == {}
    back = listed("DE", "BY", form=form_of(saved))
    assert {"2026-01-06", "2026-12-26"}.isdisjoint(ticked(back))
    assert "2026-12-25" in ticked(back)
    assert {"2026-01-06", "2026-12-26"} <= {row.day.isoformat() for row in shown_rows(back)[0]}


def test_listing_again_keeps_what_comes_from_elsewhere_and_earlier_years() -> None:
    form = listed(
        "DE",
        "BY",
        form=form_of({**OFFICE, "holidays": [{"date": "2025-01-06", "name": "Epiphany", "source": "DE-BY"}, {"date": "2026-07-01", "name": "Founders"}]}),
    )
    add_rows(form, {date(2026, 9, 1): "Summer party", date(2026, 12, 25): "Ours"}, "file team.ics")
    listed("US", form=form)
    rows = {row.day.isoformat(): row for row in holiday_rows(form)}
    assert {"2025-01-06", "2026-07-01", "2026-09-01", "2026-07-03"} <= set(ticked(form))
    assert "2026-01-06" not in rows
    drop_source(form, "file team.ics")
    assert "2026-09-01" not in {row.day.isoformat() for row in holiday_rows(form)}


def test_several_countries_count_together() -> None:
    form = typed()
    form.setlist("country", ["DE", "US", "", "DE"])
    form.setlist("subdivision", ["BY", "BY", "", "BY"])
    list_again(form, (2026,), "en")
    assert form.getlist("country") == ["DE", "US"]
    assert form.getlist("subdivision") == ["BY", ""], "Bavaria is no part of the United States"
    assert {"2026-01-06", "2026-07-03"} <= set(ticked(form))


def test_optional_holidays_are_listed_unticked() -> None:
    form = listed("PT", optional="yes")
    optional = [row for row in holiday_rows(form) if row.kind == "optional"]
    assert optional
    assert not any(row.ticked for row in optional)
    assert "unticked" not in definition_of(form)[0], "what nobody would tick is not remembered as unticked"
    assert not any(row.kind == "optional" for row in holiday_rows(listed("PT")))


def test_a_day_in_place_of_a_weekend_says_so() -> None:
    rows = {row.day: row for row in holiday_rows(listed("US"))}
    assert (rows[date(2026, 7, 3)].kind, rows[date(2026, 7, 3)].ticked) == ("observed", True)
    assert rows[date(2026, 7, 4)].kind == ""


def test_names_are_in_the_readers_language_where_there_are_some() -> None:
    form = typed()
    form.setlist("country", ["DE"])
    form.setlist("subdivision", ["BY"])
    for language, name in (("de", "Heilige Drei Könige"), ("en", "Epiphany"), ("fr", "Heilige Drei Könige")):
        list_again(form, (2026,), language)
        assert next(row.name for row in holiday_rows(form) if row.day == date(2026, 1, 6)) == name


@pytest.mark.parametrize(
    ("day", "name", "field"), [("", "x", "own-day"), ("24.12.2026", "x", "own-day"), ("2026-02-30", "", "own-day"), ("2026-12-24", "x" * 201, "own-name")]
)
def test_a_wrong_date_of_ones_own_is_named(day: str, name: str, field: str) -> None:
    form = typed(**{"own-day": day, "own-name": name})
    assert list(add_own(form)) == [field]
    assert (form["own-day"], form["own-name"]) == (day, name), "what was typed stays"


def test_a_date_of_ones_own_is_listed() -> None:
    form = typed(**{"own-day": "2026-12-24", "own-name": " Christmas  Eve "})
    assert add_own(form) == {}
    assert definition_of(form)[0]["holidays"] == [{"date": "2026-12-24", "name": "Christmas Eve"}]
    assert "own-day" not in form


def test_forged_rows_are_left_out() -> None:
    form = typed()
    form.setlist("h-day", ["yesterday", "2026-12-25", "2026-12-25"])
    form.setlist("h-name", ["a", "b" * 300, "c"])
    form.setlist("h-source", ["", "", ""])
    form.setlist("h-kind", ["", "", ""])
    form.setlist("tick", ["2026-12-25", "yesterday"])
    definition, errors = definition_of(form)
    assert errors == {}
    assert definition["holidays"] == [{"date": "2026-12-25", "name": "b" * 200}]
