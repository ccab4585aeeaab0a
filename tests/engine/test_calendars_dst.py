"""Every change of the clocks against a plain reading of the local clock, minute by minute, written here: only UTC to local, never back.

Sampled here; `python -m bench.dst` runs all zones and all changes from 2020 to 2030 through the same functions.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from sla_plugin.engine.business_time import business_time
from sla_plugin.engine.calendars import WEEKDAYS, Calendar

MINUTE = 60_000_000
DAY = 1440
EDGE = DAY + 720  # minutes compared before and after a change
MARGIN = 3 * DAY  # minutes read beyond them, for the shifts that reach in
SHIFTS = {
    "pickets": ["00:00-00:30", "00:45-01:20", "01:40-02:10", "02:20-02:25", "02:35-03:05", "03:30-22:50", "23:10-23:40"],
    "night": ["22:00-06:00"],
    "all day": ["00:00-24:00"],
}


def changes(name: str) -> Iterator[int]:
    """UTC minutes at which the clocks of a zone change, 2020 to 2030."""
    zone = ZoneInfo(name)
    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // 60 for year in (2020, 2031))

    def offset(minute: int) -> object:
        return datetime.fromtimestamp(minute * 60, zone).utcoffset()

    for before, after in pairwise(range(first, last, DAY)):
        low, high = before, after
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if offset(middle) != offset(low) else (middle, high)
        yield high


def read_the_clock(zone: ZoneInfo, first: int, last: int) -> list[int]:
    """What the wall clock shows at each UTC minute of [first, last): minutes since the first day of the calendar."""
    readings = []
    for minute in range(first, last):
        local = datetime.fromtimestamp(minute * 60, zone)
        readings.append(local.toordinal() * DAY + local.hour * 60 + local.minute)
    return readings


def spans_of(texts: list[str]) -> list[tuple[int, int]]:
    """Minutes of a day, overnight shifts as two."""
    spans = []
    for text in texts:
        start, end = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
        spans += [(start, end)] if start < end else [(start, DAY), (0, end)]
    return spans


def differences(name: str, change: int, typed: Mapping[str, list[str]] = SHIFTS) -> list[str]:
    """Where the engine, given the shifts as `typed`, differs from the plain reading of SHIFTS around a change, beyond the two written conventions."""
    zone = ZoneInfo(name)
    first, last = change - EDGE, change + EDGE
    clock = read_the_clock(zone, first - MARGIN, last + MARGIN)
    shown_at: dict[int, int] = {}
    twice = set()
    for minute, reading in enumerate(clock, first - MARGIN):
        if shown_at.setdefault(reading, minute) != minute:
            twice.add(reading)
    jumps = {minute: after - before - 1 for minute, (before, after) in enumerate(pairwise(clock), first - MARGIN + 1) if after > before + 1}

    def comes(reading: int) -> int:
        """When the wall clock shows `reading`: the first time; forward by the gap if it is skipped."""
        if reading not in shown_at:
            reading += next(gap for minute, gap in jumps.items() if clock[minute - first + MARGIN] - gap <= reading < clock[minute - first + MARGIN])
        return shown_at[reading]

    found = []
    for shift, texts in typed.items():
        spans = spans_of(SHIFTS[shift])
        by_convention: set[int] = set()
        for day in range(clock[MARGIN] // DAY - 1, clock[-MARGIN] // DAY + 2):
            for start, end in spans:
                by_convention.update(range(comes(day * DAY + start), comes(day * DAY + end)))
        calendar = Calendar.from_definition({"time_zone": name, "hours": dict.fromkeys(WEEKDAYS, texts), "exceptions": {"1990-01-01": []}}, "calendar")
        ours: set[int] = set()
        for opens, closes in business_time(calendar).open_intervals(first * MINUTE, last * MINUTE):
            if opens % MINUTE or closes % MINUTE:
                found.append(f"{name} {shift}: an edge inside a minute, {opens}-{closes}")
            ours.update(range(opens // MINUTE, closes // MINUTE))
        for minute in range(first, last):
            reading = clock[minute - first + MARGIN]
            plainly = any(start <= reading % DAY < end for start, end in spans)
            conventional = reading in twice or any(jump <= minute < jump + gap for jump, gap in jumps.items())
            if (minute in ours) != (minute in by_convention) or ((minute in ours) != plainly and not conventional):
                found.append(f"{name} {shift}: {datetime.fromtimestamp(minute * 60, zone)} is {'open' if minute in ours else 'closed'}")
    return found


# half an hour, two hours, at midnight, negative summer time, at Ramadan, given up since
NOTABLE = (
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "America/Havana",
    "Africa/Cairo",
    "Europe/Dublin",
    "Africa/Casablanca",
    "America/Asuncion",
    "Asia/Gaza",
    "Asia/Tehran",
)
ZONES = sorted(available_timezones() - {"Factory", "localtime"})


@pytest.mark.parametrize("name", NOTABLE)
def test_notable_zones(name: str) -> None:
    some = list(changes(name))[:4]
    assert some
    assert [difference for change in some for difference in differences(name, change)] == []


def test_a_sample_of_all_zones() -> None:
    found, looked = [], 0
    for index, name in enumerate(ZONES[::9]):
        some = list(changes(name))
        if some:
            looked += 1
            found += differences(name, some[index % len(some)])
    assert looked > 15
    assert found == []


def test_the_plain_reading_sees_a_wrong_minute() -> None:
    change = next(changes("Europe/Berlin"))
    (first, *_) = differences("Europe/Berlin", change, {"night": ["22:00-05:58"]})
    assert first == "Europe/Berlin night: 2020-03-28 05:58:00+01:00 is closed"
