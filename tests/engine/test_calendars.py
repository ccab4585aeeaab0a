"""Calendars: what a definition may say, what is refused, and which intervals come out."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sla_plugin.engine.calendar_definitions import WEEKDAYS
from sla_plugin.engine.calendars import EPOCH, MICROSECOND, Calendar, cover, resolve_local
from sla_plugin.errors import InvalidDefinition

OFFICE = {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}


def calendar(hours: Any = OFFICE, time_zone: str = "UTC", **parts: Any) -> Calendar:
    return Calendar.from_definition({"time_zone": time_zone, "hours": hours, **parts}, "calendars.support")


def at(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // MICROSECOND


def opened(hours: Calendar, first: str, last: str) -> list[str]:
    """Open intervals in UTC, short: `24 09:00-25 00:00`."""
    return [" - ".join((EPOCH + MICROSECOND * edge).strftime("%d %H:%M") for edge in interval) for interval in hours.intervals(at(first), at(last))]


@pytest.mark.parametrize(
    ("definition", "field", "says"),
    [
        ("office", "calendars.support", "no calendar"),
        ({"time_zone": "UTC", "hours": OFFICE, "holiday": []}, "calendars.support.holiday", "did you mean holidays?"),
        ({"hours": OFFICE}, "calendars.support.time_zone", "missing"),
        ({"time_zone": "", "hours": OFFICE}, "calendars.support.time_zone", "missing"),
        ({"time_zone": "Europe/Berlyn", "hours": OFFICE}, "calendars.support.time_zone", "no known time zone; did you mean Europe/Berlin?"),
        ({"time_zone": "new york", "hours": OFFICE}, "calendars.support.time_zone", "did you mean America/New_York?"),
        ({"time_zone": "MESZ", "hours": OFFICE}, "calendars.support.time_zone", "write an IANA zone"),
        ({"time_zone": "Europe", "hours": OFFICE}, "calendars.support.time_zone", "no known time zone"),
        ({"time_zone": "../etc/passwd", "hours": OFFICE}, "calendars.support.time_zone", "no known time zone"),
        ({"time_zone": "/etc/localtime", "hours": OFFICE}, "calendars.support.time_zone", "no known time zone"),
        ({"time_zone": "UTC"}, "calendars.support.hours", "24x7"),
        ({"time_zone": "UTC", "hours": "always"}, "calendars.support.hours", "24x7"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_refuses_a_wrong_definition(definition: Any, field: str, says: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        Calendar.from_definition(definition, "calendars.support")
    assert (caught.value.field, says in caught.value.problem) == (field, True), caught.value


@pytest.mark.parametrize(
    ("hours", "field", "says"),
    [
        ({}, "hours", "no minute is ever open"),
        ({"mon": []}, "hours", "no minute is ever open"),
        ({"monday": ["09:00-17:00"]}, "hours.monday", "did you mean mon?"),
        ({"mon": "09:00-17:00"}, "hours.mon", "list of intervals"),
        ({"mon": ["9-17"]}, "hours.mon[0]", "no time of day"),
        ({"mon": ["09:00"]}, "hours.mon[0]", "no interval"),
        ({"mon": [["09:00", "12:00", "17:00"]]}, "hours.mon[0]", "no interval"),
        ({"mon": [[540, 1020]]}, "hours.mon[0]", "quotes"),
        ({"mon": [None]}, "hours.mon[0]", "no interval"),
        ({"mon": ["09:00-25:00"]}, "hours.mon[0]", "'25:00' is no time of day"),
        ({"mon": ["09:00-24:30"]}, "hours.mon[0]", "'24:30' is no time of day"),
        ({"mon": ["09:60-17:00"]}, "hours.mon[0]", "no time of day"),
        ({"mon": ["00:00-12:00", "13:00-23:59"]}, "hours.mon[1]", "write 24:00"),
        ({"mon": ["24:00-02:00"]}, "hours.mon[0]", "cannot start at 24:00"),
        ({"mon": ["09:00-09:00"]}, "hours.mon[0]", "is empty"),
        ({"mon": ["13:00-17:00", "09:00-13:01"]}, "hours.mon[0]", "overlaps 09:00-13:01"),
        ({"mon": ["09:00-17:00", "09:00-17:00"]}, "hours.mon[1]", "overlaps"),
        ({"mon": ["22:00-06:00", "23:00-24:00"]}, "hours.mon[1]", "overlaps 22:00-06:00"),
        ({"mon": ["22:00-06:00"], "tue": ["05:00-09:00"]}, "hours.tue", "overlaps the overnight shift of mon"),
        ({"sun": ["22:00-06:00"], "mon": ["05:59-09:00"]}, "hours.mon", "overlaps the overnight shift of sun"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_refuses_wrong_hours(hours: Any, field: str, says: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        calendar(hours)
    assert (caught.value.field, says in caught.value.problem) == (f"calendars.support.{field}", True), caught.value


@pytest.mark.parametrize(
    ("parts", "field", "says"),
    [
        ({"holidays": "2026-12-25"}, "holidays", "list of dates"),
        ({"holidays": ["25.12.2026"]}, "holidays[0]", "write it as 2026-12-25"),
        ({"holidays": ["2026-12-25", "2026-02-30"]}, "holidays[1]", "no date of the calendar"),
        ({"holidays": ["20261225"]}, "holidays[0]", "no date"),
        ({"holidays": ["1026-12-25"]}, "holidays[0]", "no date from 1900"),
        ({"holidays": [{"name": "Epiphany"}]}, "holidays[0].date", "no date"),
        ({"holidays": [{"date": "2026-01-06", "title": "Epiphany"}]}, "holidays[0].title", "known are date, name"),
        ({"exceptions": ["2026-12-24"]}, "exceptions", "dates with their intervals"),
        ({"exceptions": {"24.12.": []}}, "exceptions.24.12.", "no date"),
        ({"exceptions": {"2026-12-24": "closed"}}, "exceptions.2026-12-24", "list of intervals"),
        ({"exceptions": {"2026-12-24": ["10:00-23:59"]}}, "exceptions.2026-12-24[0]", "write 24:00"),
        ({"exceptions": {"2026-12-24": [], date(2026, 12, 24): []}}, "exceptions.2026-12-24", "twice"),
        ({"exceptions": {"2026-12-24": ["22:00-06:00"], "2026-12-25": ["05:00-07:00"]}}, "exceptions.2026-12-25", "overlaps the overnight"),
        ({"breaks": {"2026-05-01": ["10:00-11:00", "10:30-12:00"]}}, "breaks.2026-05-01[1]", "overlaps"),
        ({"extra": {"2026-05-01": ["10:00-11:00", "10:30-12:00"]}}, "extra.2026-05-01[1]", "overlaps"),
        ({"extra": {"2026-05-01": {"hour": []}}}, "extra.2026-05-01.hour", "did you mean hours?"),
        ({"exceptions": {"2026-05-01": {"hours": "9-12"}}}, "exceptions.2026-05-01", "list of intervals"),
        ({"exceptions": {"2026-05-01": {"hours": [], "label": 7}}}, "exceptions.2026-05-01.label", "at most 200"),
        ({"holidays": [{"date": "2026-01-06", "source": "x" * 201}]}, "holidays[0].source", "at most 200"),
        ({"holidays": ["2026-01-06"], "unticked": ["2026-01-05", "2026-01-06"]}, "unticked[1]", "among the holidays"),
        ({"switched_off": {"mon": ["10:00-11:00"]}}, "switched_off.mon", "has hours as well"),
        ({"switched_off": {"sat": ["10:00-23:59"]}}, "switched_off.sat[0]", "write 24:00"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_refuses_wrong_dates(parts: Any, field: str, says: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        calendar(**parts)
    assert (caught.value.field, says in caught.value.problem) == (f"calendars.support.{field}", True), caught.value


def test_hours_on_dates_alone_are_hours() -> None:
    assert opened(calendar({}, exceptions={"2026-12-24": ["09:00-12:00"]}), "2026-01-01", "2027-01-01") == ["24 09:00 - 24 12:00"]
    for closed in ({"2026-12-24": []}, {}):
        with pytest.raises(InvalidDefinition, match="no minute is ever open"):
            calendar({}, exceptions=closed)


def test_hours_that_breaks_swallow_are_none() -> None:
    with pytest.raises(InvalidDefinition, match="no minute is ever open"):
        calendar({}, exceptions={"2026-12-24": ["09:00-12:00"]}, breaks={"2026-12-24": ["08:00-13:00"]})


# Thursday 24 December 2026
@pytest.mark.parametrize(
    ("hours", "parts", "expected"),
    [
        (OFFICE, {}, ["24 09:00 - 24 17:00", "25 09:00 - 25 17:00"]),
        (OFFICE, {"holidays": ["2026-12-25"]}, ["24 09:00 - 24 17:00"]),
        (OFFICE, {"exceptions": {"2026-12-24": ["10:00-12:00"]}}, ["24 10:00 - 24 12:00", "25 09:00 - 25 17:00"]),
        (OFFICE, {"exceptions": {"2026-12-24": []}}, ["25 09:00 - 25 17:00"]),
        (OFFICE, {"exceptions": {"2026-12-26": ["10:00-12:00"]}}, ["24 09:00 - 24 17:00", "25 09:00 - 25 17:00", "26 10:00 - 26 12:00"]),
        (OFFICE, {"holidays": ["2026-12-24", "2026-12-25"], "exceptions": {"2026-12-24": ["09:00-12:00"]}}, ["24 09:00 - 24 12:00"]),
        (OFFICE, {"breaks": {"2026-12-24": ["12:00-13:00"]}}, ["24 09:00 - 24 12:00", "24 13:00 - 24 17:00", "25 09:00 - 25 17:00"]),
        (OFFICE, {"breaks": {"2026-12-24": ["08:00-10:00", "16:00-18:00"]}}, ["24 10:00 - 24 16:00", "25 09:00 - 25 17:00"]),
        (OFFICE, {"breaks": {"2026-12-24": ["22:00-10:00"]}}, ["24 09:00 - 24 17:00", "25 10:00 - 25 17:00"]),
        (OFFICE, {"breaks": {"2026-12-24": ["00:00-24:00"]}}, ["25 09:00 - 25 17:00"]),
        ({"thu": ["22:00-06:00"]}, {}, ["24 22:00 - 25 06:00"]),
        ({"thu": ["22:00-06:00"]}, {"holidays": ["2026-12-25"]}, ["24 22:00 - 25 00:00"]),
        ({"thu": ["22:00-06:00"]}, {"holidays": ["2026-12-24"]}, ["25 00:00 - 25 06:00"]),
        ({"thu": ["22:00-06:00"]}, {"exceptions": {"2026-12-25": []}}, ["24 22:00 - 25 00:00"]),
        (OFFICE, {"exceptions": {"2026-12-24": ["22:00-06:00"]}}, ["24 22:00 - 25 06:00", "25 09:00 - 25 17:00"]),
        (OFFICE, {"exceptions": {"2026-12-24": ["22:00-09:30"]}}, ["24 22:00 - 25 17:00"]),
        (OFFICE, {"exceptions": {"2026-12-24": ["22:00-06:00"]}, "holidays": ["2026-12-25"]}, ["24 22:00 - 25 00:00"]),
        (OFFICE, {"exceptions": {"2026-12-24": ["22:00-06:00"], "2026-12-25": []}}, ["24 22:00 - 25 00:00"]),
        (OFFICE, {"exceptions": {"2026-12-24": ["22:00-06:00"], "2026-12-25": ["08:00-09:00"]}}, ["24 22:00 - 25 06:00", "25 08:00 - 25 09:00"]),
        ({"thu": ["00:00-24:00"], "fri": ["00:00-12:00"]}, {}, ["24 00:00 - 25 12:00"]),
        ({"thu": [["09:00", "12:00"], ("12:00", "13:00")]}, {}, ["24 09:00 - 24 13:00"]),
        ({"thu": ["9:00 - 00:00"]}, {}, ["24 09:00 - 25 00:00"]),
        ("24x7", {"holidays": ["2026-12-25"]}, ["24 00:00 - 25 00:00", "26 00:00 - 27 00:00"]),
    ],
    ids=lambda value: repr(value)[:80],
)
def test_intervals(hours: Any, parts: Any, expected: list[str]) -> None:
    assert opened(calendar(hours, **parts), "2026-12-24", "2026-12-27") == expected


@pytest.mark.parametrize(
    ("zone", "day", "hours", "expected"),
    [
        # clocks go forward 02:00 -> 03:00 on 29 March 2026
        pytest.param("Europe/Berlin", "2026-03-29", ["02:30-05:00"], ["29 01:30 - 29 03:00"], id="a start in the gap shifts forward"),
        pytest.param("Europe/Berlin", "2026-03-29", ["00:00-02:30"], ["28 23:00 - 29 01:30"], id="an end in the gap shifts forward"),
        pytest.param("Europe/Berlin", "2026-03-29", ["02:30-03:00"], [], id="what becomes negative is dropped"),
        pytest.param("Europe/Berlin", "2026-03-29", ["02:30-03:30"], [], id="what becomes empty is dropped"),
        pytest.param("Europe/Berlin", "2026-03-29", ["02:00-02:45", "03:15-04:00"], ["29 01:00 - 29 02:00"], id="what overlaps then is joined"),
        # back 03:00 -> 02:00 on 25 October 2026
        pytest.param("Europe/Berlin", "2026-10-25", ["02:30-05:00"], ["25 00:30 - 25 04:00"], id="a start in the overlap is the first"),
        pytest.param("Europe/Berlin", "2026-10-25", ["00:00-02:30"], ["24 22:00 - 25 00:30"], id="an end in the overlap is the first"),
        pytest.param("Pacific/Apia", "2011-12-30", ["09:00-17:00"], [], id="a date that never was has no hours"),
        pytest.param("America/Sao_Paulo", "2015-10-18", ["00:00-06:00"], ["18 03:00 - 18 08:00"], id="a day without midnight"),
        pytest.param("Africa/Monrovia", "1971-06-01", ["09:00-09:01"], ["01 09:44 - 01 09:45"], id="an offset of odd seconds"),
    ],
)
def test_clock_changes(zone: str, day: str, hours: list[str], expected: list[str]) -> None:
    before, after = (datetime.fromordinal(date.fromisoformat(day).toordinal() + n).isoformat() for n in (-3, 4))
    assert opened(calendar({}, zone, exceptions={day: hours, "2030-01-01": ["09:00-10:00"]}), before, after) == expected


def test_resolve_local_takes_naive_walls_only() -> None:
    assert resolve_local(ZoneInfo("Europe/Berlin"), datetime.fromisoformat("2026-10-25T02:30").replace(fold=1)) == at("2026-10-25T00:30")
    with pytest.raises(ValueError, match="already has a zone"):
        resolve_local(ZoneInfo("Europe/Berlin"), datetime(2026, 10, 25, tzinfo=UTC))


def test_reads_what_yaml_makes_of_it() -> None:
    definition = yaml.safe_load(
        """
        time_zone: Europe/Berlin
        hours: {mon: ["09:00-12:30", "13:30-18:00"], wed: [22:00-06:00]}
        holidays: [2026-12-25, {date: 2026-01-06, name: Epiphany}]
        exceptions: {2026-12-24: ["09:00-12:00"], 2026-12-31: []}
        breaks: {2026-05-01: ["10:00-11:30"]}
        """
    )
    assert Calendar.from_definition(definition, "x").to_definition() == {
        "time_zone": "Europe/Berlin",
        "hours": {"mon": ["09:00-12:30", "13:30-18:00"], "wed": ["22:00-06:00"]},
        "holidays": [{"date": "2026-01-06", "name": "Epiphany"}, "2026-12-25"],
        "exceptions": {"2026-12-24": ["09:00-12:00"], "2026-12-31": []},
        "breaks": {"2026-05-01": ["10:00-11:30"]},
    }


def test_every_day_in_full_is_24x7() -> None:
    assert calendar({day: ["00:00-24:00"] for day in WEEKDAYS}) == calendar("24x7")
    assert calendar("24x7").to_definition() == {"time_zone": "UTC", "hours": "24x7"}
    assert calendar("24x7").always_open
    assert not calendar("24x7", holidays=["2026-12-25"]).always_open
    assert not calendar({**{day: ["00:00-24:00"] for day in WEEKDAYS}, "sun": ["00:01-24:00"]}).always_open


def test_weekly_pattern_cuts_at_midnight() -> None:
    assert calendar({"sun": ["22:00-06:00"], "mon": ["09:00-17:00"]}).weekly_pattern() == (((0, 360), (540, 1020)), (), (), (), (), (), ((1320, 1440),))


def test_cover_is_open_where_both_are() -> None:
    ours = calendar({"mon": ["09:00-12:00", "13:00-18:00"]}, holidays=[{"date": "2026-01-12", "name": "Ours"}])
    theirs = calendar({"mon": ["09:00-17:00"]}, "America/New_York", holidays=[{"date": "2026-01-19", "name": "Theirs"}])
    both = cover(ours, theirs)
    assert [(EPOCH + MICROSECOND * edge).strftime("%d %H:%M") for i in both.intervals(at("2026-01-01"), at("2026-01-25")) for edge in i] == [
        "05 14:00",
        "05 18:00",
    ]
    assert [name for _, _, name in both.holiday_spans(at("2026-01-01"), at("2026-02-01"))] == ["Ours", "Theirs"]
    assert both.zone == ours.zone
    assert not both.always_open
    assert cover(calendar("24x7"), calendar("24x7", "Asia/Tokyo")).always_open


def test_a_holiday_names_only_what_it_closes() -> None:
    days = ["2026-12-24", {"date": "2026-12-25", "name": "Christmas"}, "2026-12-26", "2026-12-28"]  # the 26th is a Saturday
    hours = calendar(holidays=days, exceptions={"2026-12-28": []})
    assert hours.holiday_spans(at("2026-12-24T12:00"), at("2027-01-01")) == [
        (at("2026-12-24T12:00"), at("2026-12-25"), "holiday"),
        (at("2026-12-25"), at("2026-12-26"), "Christmas"),
    ]


@pytest.mark.parametrize(
    ("parts", "day", "expected"),
    [
        ({"extra": {"2026-12-25": ["18:00-20:00"]}}, 25, ["25 09:00 - 25 17:00", "25 18:00 - 25 20:00"]),
        ({"extra": {"2026-12-25": ["16:00-20:00"]}}, 25, ["25 09:00 - 25 20:00"]),
        ({"extra": {"2026-12-26": ["10:00-14:00"]}}, 26, ["26 10:00 - 26 14:00"]),
        ({"extra": {"2026-12-25": ["10:00-14:00"]}, "holidays": ["2026-12-25"]}, 25, ["25 10:00 - 25 14:00"]),
        ({"extra": {"2026-12-25": ["10:00-14:00"]}, "exceptions": {"2026-12-25": []}}, 25, ["25 10:00 - 25 14:00"]),
        ({"extra": {"2026-12-24": ["22:00-06:00"]}, "holidays": ["2026-12-25"]}, 25, ["25 00:00 - 25 06:00"]),
        ({"extra": {"2026-12-26": ["10:00-14:00"]}, "breaks": {"2026-12-26": ["11:00-12:00"]}}, 26, ["26 10:00 - 26 11:00", "26 12:00 - 26 14:00"]),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_an_extra_shift_is_added_to_whatever_its_date_has(parts: Any, day: int, expected: list[str]) -> None:
    assert opened(calendar(**parts), f"2026-12-{day}", f"2026-12-{day + 1}") == expected


def test_an_extra_shift_alone_is_a_calendar() -> None:
    assert opened(calendar({}, extra={"2026-12-26": ["10:00-14:00"]}), "2026-12-01", "2027-01-01") == ["26 10:00 - 26 14:00"]


def test_notes_are_kept_and_change_no_hours() -> None:
    notes = {
        "switched_off": {"sat": ["10:00-14:00"]},
        "unticked": [{"date": "2026-12-24", "name": "Christmas Eve", "source": "DE-BY"}, "2026-12-31"],
        "holidays": [{"date": "2026-12-25", "source": "feed office.example.com"}],
        "exceptions": {"2026-12-23": {"hours": ["09:00-12:00"], "label": "short day"}},
    }
    with_notes = calendar(**notes)
    plain = calendar(holidays=["2026-12-25"], exceptions={"2026-12-23": ["09:00-12:00"]})
    assert with_notes == plain
    assert hash(with_notes) == hash(plain)
    assert {key: with_notes.to_definition()[key] for key in notes} == notes


minutes = st.integers(0, 1438).filter(lambda minute: minute != 1439)


@st.composite
def days_hours(draw: st.DrawFn) -> list[str]:
    edges = sorted(draw(st.lists(minutes, unique=True, min_size=0, max_size=6)))
    return [f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in zip(edges[::2], edges[1::2], strict=False)]


dates = st.dates(date(1990, 1, 1), date(2090, 1, 1)).map(date.isoformat)
dated = st.one_of(days_hours(), st.fixed_dictionaries({"hours": days_hours(), "label": st.text(max_size=5)}))
definitions = st.fixed_dictionaries(
    {
        "time_zone": st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        "hours": st.fixed_dictionaries({"mon": st.just(["00:10-24:00"])}, optional={day: days_hours() for day in WEEKDAYS[2:]}),
    },
    optional={
        "holidays": st.lists(st.one_of(dates, st.fixed_dictionaries({"date": dates, "name": st.text(max_size=5), "source": st.sampled_from(["", "DE-BY"])}))),
        "exceptions": st.dictionaries(dates, dated),
        "breaks": st.dictionaries(dates, days_hours()),
        "extra": st.dictionaries(dates, dated),
        "switched_off": st.fixed_dictionaries({"tue": days_hours()}),
        "unticked": st.lists(st.dates(date(2100, 1, 1), date(2110, 1, 1)).map(lambda day: {"date": day.isoformat(), "name": "Off", "source": "DE-BY"})),
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(definitions)
def test_round_trip(definition: dict[str, Any]) -> None:
    first = Calendar.from_definition(definition, "x")
    again = Calendar.from_definition(first.to_definition(), "x")
    assert again == first
    assert hash(again) == hash(first)
    assert again.to_definition() == first.to_definition()


@given(definitions, st.integers(at("1995-01-01"), at("2085-01-01")), st.integers(1, 40 * 86_400_000_000))
def test_intervals_are_apart_ascending_and_do_not_depend_on_the_window(definition: dict[str, Any], start: int, length: int) -> None:
    hours = Calendar.from_definition(definition, "x")
    edges = [edge for interval in hours.intervals(start, start + length) for edge in interval]
    assert edges == sorted(set(edges))
    wide = hours.intervals(start - 10**12, start + length + 10**12)
    assert hours.intervals(start, start + length) == [(max(a, start), min(b, start + length)) for a, b in wide if a < start + length and b > start]
