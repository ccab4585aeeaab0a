"""iCalendar files: what becomes a holiday, and what is refused with which reason."""

from collections.abc import Sequence
from datetime import date

import pytest

from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.apply_policy_file import Stored
from sla_plugin.services.import_holidays import merge_holidays
from sla_plugin.services.read_ical import LARGEST, ICalHolidays, read_ical

YEARS = (2026, 2027)


def ics(*events: str) -> bytes:
    """A file of events, each given by its lines."""
    lines = [line for event in events for line in ("BEGIN:VEVENT", *event.split("|"), "END:VEVENT")]
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//", *lines, "END:VCALENDAR", ""]).encode()


def read(*events: str, years: Sequence[int] = YEARS) -> ICalHolidays:
    return read_ical(ics(*events), years)


def days(*texts: str) -> list[date]:
    return [date.fromisoformat(text) for text in texts]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("SUMMARY:A|DTSTART;VALUE=DATE:20261225", ["2026-12-25"]),
        ("SUMMARY:A|DTSTART:20261225", ["2026-12-25"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20261225|DTEND;VALUE=DATE:20261227", ["2026-12-25", "2026-12-26"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20261225|DTEND;VALUE=DATE:20261225", ["2026-12-25"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20261231|DURATION:P2D", ["2026-12-31", "2027-01-01"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20200501|RRULE:FREQ=YEARLY", ["2026-05-01", "2027-05-01"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20200501|RRULE:FREQ=YEARLY;UNTIL=20260601T000000Z", ["2026-05-01"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20250501|RRULE:FREQ=YEARLY;COUNT=2", ["2026-05-01"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20201126|RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", ["2026-11-26", "2027-11-25"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20240229|RRULE:FREQ=YEARLY", []),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20260110|RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", []),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20260501|RDATE;VALUE=DATE:20260601,20270601", ["2026-05-01", "2026-06-01", "2027-06-01"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20200501|RRULE:FREQ=YEARLY|EXDATE;VALUE=DATE:20260501", ["2027-05-01"]),
        ("SUMMARY:A|DTSTART;VALUE=DATE:20301225", []),
    ],
    ids=[
        *("a date", "a date without its kind", "two days", "ends on its own day", "duration", "every year", "until", "count counts from the start"),
        *("fourth Thursday", "29 February", "never holds", "more dates", "but for a date", "another year"),
    ],
)
def test_all_day_events_become_dates(event: str, expected: list[str]) -> None:
    found = read(event)
    assert (list(found.days), found.refused) == (days(*expected), ())
    assert set(found.days.values()) <= {"A"}
    assert found.elsewhere == (not expected)


@pytest.mark.parametrize(
    ("event", "name", "reason"),
    [
        ("SUMMARY:Team lunch|DTSTART:20261224T120000Z", "Team lunch (2026-12-24T12:00:00+00:00)", "time of day"),
        ("SUMMARY:Nothing", "Nothing", "no start"),
        ("SUMMARY:Broken|DTSTART;VALUE=DATE:2026-12-24", "Broken", "start is no date"),
        ("DTSTART;VALUE=DATE:20261399", "an event without a name", "start is no date"),
        ("SUMMARY:Backwards|DTSTART;VALUE=DATE:20261225|DTEND;VALUE=DATE:20261220", "Backwards (2026-12-25)", "ends before it starts"),
        ("SUMMARY:Long|DTSTART;VALUE=DATE:20260101|DTEND;VALUE=DATE:20270101", "Long (2026-01-01)", "365 days"),
        ("SUMMARY:Mixed|DTSTART;VALUE=DATE:20261225|DTEND:20261226T120000Z", "Mixed (2026-12-25)", "end is no date"),
        ("SUMMARY:Off|DTSTART;VALUE=DATE:20261225|STATUS:CANCELLED", "Off (2026-12-25)", "cancelled"),
        ("SUMMARY:Mondays|DTSTART;VALUE=DATE:20260105|RRULE:FREQ=WEEKLY", "Mondays (2026-01-05)", "repeats weekly"),
        ("SUMMARY:Hours|DTSTART;VALUE=DATE:20260105|RRULE:FREQ=YEARLY;BYHOUR=1,2", "Hours (2026-01-05)", "by the hour"),
        ("SUMMARY:Zero|DTSTART;VALUE=DATE:20260105|RRULE:FREQ=YEARLY;INTERVAL=0", "Zero (2026-01-05)", "every 0 years"),
        ("SUMMARY:Bad|DTSTART;VALUE=DATE:20260105|RRULE:FREQ=YEARLY;BYDAY=XX", "Bad (2026-01-05)", "rule"),
        ("SUMMARY:Old|DTSTART;VALUE=DATE:18990105|RRULE:FREQ=YEARLY", "Old (1899-01-05)", "not from 1900"),
    ],
    ids=["timed", "no start", "no date", "month 13", "backwards", "too long", "timed end", "cancelled", "weekly", "hours", "interval 0", "no weekday", "old"],
)
def test_what_is_no_holiday_is_refused_by_name_and_reason(event: str, name: str, reason: str) -> None:
    found = read(event, "SUMMARY:Good|DTSTART;VALUE=DATE:20261225")
    assert found.days == {date(2026, 12, 25): "Good"}
    (refused,) = found.refused
    assert refused.event == name
    assert reason in refused.reason


def test_a_moved_repetition_counts_where_it_was_moved_to() -> None:
    found = read(
        "UID:1|SUMMARY:Fair|DTSTART;VALUE=DATE:20250505|RRULE:FREQ=YEARLY",
        "UID:1|SUMMARY:Fair|RECURRENCE-ID;VALUE=DATE:20260505|DTSTART;VALUE=DATE:20260512",
    )
    assert list(found.days) == days("2026-05-12", "2027-05-05")


def test_the_first_name_of_a_date_stays() -> None:
    assert read("SUMMARY:One|DTSTART;VALUE=DATE:20261225", "SUMMARY:Two|DTSTART;VALUE=DATE:20261225").days == {date(2026, 12, 25): "One"}


def every_day(years: int) -> str:
    by_day = "MO,TU,WE,TH,FR,SA,SU"
    return f"SUMMARY:E|DTSTART;VALUE=DATE:{2027 - years}0101|RRULE:FREQ=YEARLY;BYDAY={by_day}"


@pytest.mark.parametrize(
    ("content", "years", "field", "said"),
    [
        (b"x" * (LARGEST + 1), YEARS, "file", "at most"),
        (b"\xff\xfe", YEARS, "file", "UTF-8"),
        (b"", YEARS, "file", ""),
        (b"hello", YEARS, "file", ""),
        (b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", YEARS, "file", "no event"),
        (ics(*["SUMMARY:A|DTSTART;VALUE=DATE:20261225"] * 2001), YEARS, "file", "2001 events"),
        (ics(*[f"SUMMARY:A|DTSTART;VALUE=DATE:{y}0101|DTEND;VALUE=DATE:{y}0228" for y in range(1950, 2000)]), range(1950, 2000), "file", "2000 dates"),
        (ics("SUMMARY:A|DTSTART;VALUE=DATE:20261225"), (), "years", "at least one"),
        (ics("SUMMARY:A|DTSTART;VALUE=DATE:20261225"), (26,), "years", "26"),
    ],
    ids=["too large", "not text", "empty", "no calendar", "no event", "too many events", "too many dates", "no year", "two digits"],
)
def test_files_that_are_refused_as_a_whole(content: bytes, years: Sequence[int], field: str, said: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        read_ical(content, years)
    assert refused.value.field == field
    assert said in refused.value.problem


def test_a_rule_of_every_day_since_long_ago_is_refused() -> None:
    (refused,) = read(every_day(20)).refused
    assert "more than 2000 times" in refused.reason


STORED = Stored({"Office": (3, {"time_zone": "UTC", "hours": "24x7", "holidays": [{"date": "2026-12-25", "name": "Ours"}, "2026-08-01", "2025-08-01"]})}, {})


@pytest.mark.parametrize(
    ("replace", "kept", "dropped"),
    [(False, ["2025-08-01", "2026-08-01", "2026-12-25", "2026-12-26"], []), (True, ["2025-08-01", "2026-12-25", "2026-12-26"], ["2026-08-01"])],
    ids=["added", "replaced"],
)
def test_a_file_is_merged_into_a_calendar(replace: bool, kept: list[str], dropped: list[str]) -> None:
    found = read("SUMMARY:Theirs|DTSTART;VALUE=DATE:20261225|DTEND;VALUE=DATE:20261227")
    merged = merge_holidays(STORED, "Office", found.days, YEARS, replace=replace)
    written = merged.file.calendars["Office"]["holidays"]
    assert [h if isinstance(h, str) else h["date"] for h in written] == kept
    assert {"date": "2026-12-25", "name": "Ours"} in written
    assert {"date": "2026-12-26", "name": "Theirs"} in written
    assert (list(merged.added), list(merged.dropped)) == (days("2026-12-26"), days(*dropped))


def test_a_calendar_that_does_not_exist_is_named() -> None:
    with pytest.raises(InvalidDefinition, match=r"no calendar 'Ofice'.*Office"):
        merge_holidays(STORED, "Ofice", {}, YEARS, replace=False)
