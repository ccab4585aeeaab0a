"""When clocks change, and what it does to the open time of that date."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sla_plugin.engine.calendars import EPOCH, MICROSECOND, Calendar
from sla_plugin.engine.clock_changes import gained, next_clock_change

MINUTE = 60_000_000
NIGHT: dict[str, Any] = {"sat": ["22:00-06:00"], "sun": ["22:00-06:00"]}
OFFICE: dict[str, Any] = {"mon": ["09:00-17:00"]}


def at(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // MICROSECOND


@pytest.mark.parametrize(
    ("zone", "after", "before_wall", "after_wall"),
    [
        ("Europe/Berlin", "2026-11-04", "2027-03-28T02:00", "2027-03-28T03:00"),
        ("Europe/Berlin", "2027-03-28T00:59:59", "2027-03-28T02:00", "2027-03-28T03:00"),
        ("Europe/Berlin", "2027-03-28T01:00", "2027-10-31T03:00", "2027-10-31T02:00"),
        ("America/New_York", "2026-11-04", "2027-03-14T02:00", "2027-03-14T03:00"),
        ("Pacific/Auckland", "2026-11-04", "2027-04-04T03:00", "2027-04-04T02:00"),  # the south: back in April
        ("Pacific/Auckland", "2027-05-01", "2027-09-26T02:00", "2027-09-26T03:00"),
        ("Australia/Lord_Howe", "2026-11-04", "2027-04-04T02:00", "2027-04-04T01:30"),  # half an hour
        ("Australia/Lord_Howe", "2027-05-01", "2027-10-03T02:00", "2027-10-03T02:30"),
        ("Africa/Cairo", "2026-11-04", "2027-04-30T00:00", "2027-04-30T01:00"),  # at midnight
        ("America/Santiago", "2026-11-04", "2027-04-04T00:00", "2027-04-03T23:00"),  # back into the day before
    ],
)
def test_the_next_change(zone: str, after: str, before_wall: str, after_wall: str) -> None:
    change = next_clock_change(ZoneInfo(zone), at(after))
    assert change is not None
    assert (change.before.isoformat()[:16], change.after.isoformat()[:16]) == (before_wall, after_wall)
    assert change.forward == (after_wall > before_wall)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Sao_Paulo", "Asia/Kathmandu"])
def test_zones_that_do_not_change(zone: str) -> None:
    assert next_clock_change(ZoneInfo(zone), at("2026-11-04")) is None


@pytest.mark.parametrize(
    ("zone", "hours", "after", "minutes"),
    [
        ("Europe/Berlin", OFFICE, "2026-11-04", 0),
        ("Europe/Berlin", NIGHT, "2026-11-04", -60),
        ("Europe/Berlin", NIGHT, "2027-05-01", 60),
        ("Europe/Berlin", "24x7", "2026-11-04", -60),
        ("Australia/Lord_Howe", NIGHT, "2026-11-04", 30),
        ("Australia/Lord_Howe", NIGHT, "2027-05-01", -30),
        ("Pacific/Auckland", NIGHT, "2026-11-04", 60),
        ("America/Santiago", "24x7", "2026-11-04", 60),
        ("Africa/Cairo", "24x7", "2026-11-04", -60),
    ],
    ids=str,
)
def test_what_a_change_does_to_open_time(zone: str, hours: Any, after: str, minutes: int) -> None:
    calendar = Calendar.from_definition({"time_zone": zone, "hours": hours}, "x")
    change = next_clock_change(calendar.zone, at(after))
    assert change is not None
    assert gained(calendar, change) == minutes * MINUTE


def test_a_holiday_on_that_date_loses_nothing() -> None:
    calendar = Calendar.from_definition({"time_zone": "Europe/Berlin", "hours": "24x7", "holidays": ["2027-03-28"]}, "x")
    change = next_clock_change(calendar.zone, at("2026-11-04"))
    assert change is not None
    assert gained(calendar, change) == 0
