"""Business time: the conventions by table, the laws by property, against sums over the plain list of intervals."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sla_plugin.engine.business_time import ALWAYS, FIRST, LAST, NEVER, AroundTheClock, BusinessTime, Segment, business_time
from sla_plugin.engine.calendars import EPOCH, MICROSECOND, Calendar, cover, year_start
from sla_plugin.engine.durations import DAY, HOUR, MINUTE, SECOND

OFFICE = {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}


def hours(weekly: Any = OFFICE, time_zone: str = "UTC", **parts: Any) -> BusinessTime:
    return business_time(Calendar.from_definition({"time_zone": time_zone, "hours": weekly, **parts}, "calendar"))


def at(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // MICROSECOND


# Friday 2 January 2026 to Monday the 5th
@pytest.mark.parametrize(
    ("start", "amount", "due"),
    [
        ("2026-01-02T16:00", HOUR, "2026-01-02T17:00"),  # exactly at closing is closing
        ("2026-01-02T16:00", HOUR + 1, "2026-01-05T09:00:00.000001"),
        ("2026-01-02T16:00", 0, "2026-01-02T16:00"),
        ("2026-01-02T17:00", 0, "2026-01-05T09:00"),  # a closing instant is outside hours
        ("2026-01-02T17:00", 1, "2026-01-05T09:00:00.000001"),
        ("2026-01-03T12:00", 0, "2026-01-05T09:00"),
        ("2026-01-03T12:00", 8 * HOUR, "2026-01-05T17:00"),
        ("2026-01-02T09:00", 8 * HOUR, "2026-01-02T17:00"),
        ("2026-01-02T09:00", 16 * HOUR, "2026-01-05T17:00"),
        ("2025-12-31T16:59:59.999999", 2, "2026-01-01T09:00:00.000001"),
    ],
)
def test_add(start: str, amount: int, due: str) -> None:
    assert hours().add(at(start), amount) == at(due)


@pytest.mark.parametrize(
    ("instant", "amount", "before"),
    [
        ("2026-01-05T10:00", HOUR, "2026-01-05T09:00"),  # exactly to the opening is the opening
        ("2026-01-05T10:00", HOUR + 1, "2026-01-02T16:59:59.999999"),
        ("2026-01-05T10:00", 0, "2026-01-05T10:00"),
        ("2026-01-05T09:00", 0, "2026-01-02T17:00"),
        ("2026-01-05T09:00", 1, "2026-01-02T16:59:59.999999"),
        ("2026-01-03T12:00", 0, "2026-01-02T17:00"),
        ("2026-01-02T17:00", 0, "2026-01-02T17:00"),
        ("2026-01-03T12:00", 8 * HOUR, "2026-01-02T09:00"),
    ],
)
def test_subtract(instant: str, amount: int, before: str) -> None:
    assert hours().subtract(at(instant), amount) == at(before)


@pytest.mark.parametrize(
    ("instant", "opens", "is_open"),
    [
        ("2026-01-02T08:59", "2026-01-02T09:00", False),
        ("2026-01-02T09:00", "2026-01-02T09:00", True),
        ("2026-01-02T16:59", "2026-01-02T16:59", True),
        ("2026-01-02T17:00", "2026-01-05T09:00", False),
    ],
)
def test_next_open(instant: str, opens: str, is_open: bool) -> None:
    assert hours().next_open(at(instant)) == at(opens)
    assert hours().is_open(at(instant)) is is_open


@given(
    start=st.integers(at("2025-12-29T00:00") // MINUTE, at("2026-01-12T00:00") // MINUTE).map(lambda n: n * MINUTE),
    amounts=st.lists(st.one_of(st.integers(1, 40 * HOUR), st.integers(1, 160).map(lambda n: n * 15 * MINUTE)), min_size=3, max_size=3).map(sorted),
)
@pytest.mark.parametrize("time", [hours(), hours({"mon": ["09:00-12:00", "12:00-13:00"], "thu": ["22:00-06:00"]}), ALWAYS], ids=["office", "few", "always"])
def test_thresholds_are_what_add_says(time: BusinessTime, start: int, amounts: list[int]) -> None:
    warning, critical, amount = (time.add(start, each) for each in amounts)
    assert time.thresholds(start, *amounts) == (warning, critical, amount, time.next_open(amount))


def test_thresholds_at_the_ends_of_what_is_known() -> None:
    for start in (FIRST - DAY, LAST - DAY, LAST + DAY):
        warning, critical, amount = (hours().add(start, each) for each in (MINUTE, HOUR, 400 * DAY))
        assert hours().thresholds(start, MINUTE, HOUR, 400 * DAY) == (warning, critical, amount, hours().next_open(amount))


def test_between_is_zero_backwards_and_when_closed() -> None:
    assert hours().between(at("2026-01-05T10:00"), at("2026-01-02T10:00")) == 0
    assert hours().between(at("2026-01-02T10:00"), at("2026-01-02T10:00")) == 0
    assert hours().between(at("2026-01-02T17:00"), at("2026-01-05T09:00")) == 0
    assert hours().between(at("2026-01-02T16:59:59.999999"), at("2026-01-05T09:00:00.000001")) == 2


@pytest.mark.parametrize("time", [hours(), ALWAYS, hours("24x7", holidays=["2026-01-01"])], ids=["office", "always", "24x7 with a holiday"])
def test_negative_amounts_are_refused(time: BusinessTime) -> None:
    with pytest.raises(ValueError, match="use subtract"):
        time.add(0, -1)
    with pytest.raises(ValueError, match="use add"):
        time.subtract(0, -1)
    with pytest.raises(ValueError, match="cannot add -1 days"):
        time.add_days(0, -1)


# --- far away --------------------------------------------------------------------------------------------------------
def test_long_targets_and_far_starts() -> None:
    ninety = 90 * 8 * HOUR
    assert hours().add(at("2025-01-02T09:00"), ninety) == at("2025-05-07T17:00")
    for year in (1970, 1999, 2038, 2100):
        opens = hours().next_open(year_start(year))
        due = hours().add(opens, ninety)
        assert 120 * DAY < due - opens < 130 * DAY
        assert hours().subtract(due, ninety) == opens
    assert hours({"mon": ["09:00-10:00"]}).add(0, 1000 * HOUR) == at("1970-01-05T10:00") + 999 * 7 * DAY


@pytest.mark.parametrize("order", [(2100, 1970, 2026), (1970, 2100, 2026), (2026, 2027, 2025)])
def test_answers_do_not_depend_on_what_was_asked_before(order: tuple[int, ...]) -> None:
    fresh = BusinessTime(Calendar.from_definition({"time_zone": "Europe/Berlin", "hours": OFFICE}, "x"))
    for year in order:
        start = year_start(year) + 45 * DAY
        single = BusinessTime(fresh.hours)
        assert fresh.add(start, 500 * HOUR) == single.add(start, 500 * HOUR)
        assert fresh.subtract(start, 500 * HOUR) == single.subtract(start, 500 * HOUR)
        assert fresh.between(start, start + 400 * DAY) == single.between(start, start + 400 * DAY)
        assert fresh.open_intervals(start, start + 400 * DAY) == fresh.hours.intervals(start, start + 400 * DAY)


def test_a_calendar_with_too_little_time_never_comes() -> None:
    once = hours({}, exceptions={"2026-12-24": ["09:00-12:00"]})
    start = at("2026-01-01")
    assert once.add(start, 3 * HOUR) == at("2026-12-24T12:00")
    assert once.add(start, 3 * HOUR + 1) == NEVER
    assert once.next_open(at("2026-12-24T12:00")) == NEVER
    assert once.subtract(at("2027-01-01"), 3 * HOUR) == at("2026-12-24T09:00")
    assert once.subtract(at("2027-01-01"), 3 * HOUR + 1) == -NEVER
    assert once.subtract(at("2026-01-01"), 0) == -NEVER
    assert once.add_days(start, 1) == at("2026-12-24T09:00")
    assert once.add_days(start, 2) == NEVER
    assert once.end_of_day(at("2027-01-01")) == NEVER
    assert once.deadline(datetime(2026, 1, 1, tzinfo=UTC), 4 * HOUR) is None
    assert not once.is_open(start)


def test_beyond_what_calendars_know() -> None:
    office = hours()
    assert office.add(LAST, 1) == NEVER
    assert office.add(LAST + DAY, 0) == NEVER
    assert office.add(FIRST - DAY, 0) == office.next_open(FIRST)
    assert office.subtract(FIRST, 1) == -NEVER
    assert office.between(LAST - DAY, NEVER) == office.between(LAST - DAY, LAST)
    assert office.between(LAST, NEVER) == 0


# --- days ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        ("2026-01-02T10:00", 0, "2026-01-02T10:00"),
        ("2026-01-02T10:00", 1, "2026-01-05T10:00"),
        ("2026-01-02T20:00", 1, "2026-01-06T09:00"),
        ("2026-01-03T08:00", 2, "2026-01-07T09:00"),  # the 6th is a holiday
        ("2026-01-02T10:00:30.5", 2, "2026-01-07T10:00:30.5"),
    ],
)
def test_add_days(start: str, days: int, due: str) -> None:
    time = hours(holidays=["2026-01-06"]) if days == 2 else hours()
    assert time.add_days(at(start), days) == at(due)


def test_days_keep_the_wall_time_over_a_clock_change() -> None:
    berlin = hours("24x7", "Europe/Berlin")
    assert isinstance(berlin, AroundTheClock)
    assert berlin.add_days(at("2026-03-28T09:00"), 1) == at("2026-03-29T08:00")
    assert berlin.end_of_day(at("2026-03-29T08:00")) == at("2026-03-29T22:00")
    assert hours().end_of_day(at("2026-01-02T18:00")) == at("2026-01-05T17:00")
    assert hours({"mon": ["08:00-12:00", "13:00-24:00"]}).end_of_day(at("2026-01-05T09:00")) == at("2026-01-06")


# --- datetimes -------------------------------------------------------------------------------------------------------
def test_deadline_takes_any_zone_and_answers_in_utc() -> None:
    due = hours().deadline(datetime(2026, 1, 2, 17, 30, tzinfo=timezone(timedelta(hours=1))), HOUR)
    assert due == datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    assert due is not None
    assert due.tzinfo is UTC
    assert hours().deadline(datetime(2026, 1, 2, 9, tzinfo=ZoneInfo("America/New_York")), 1) == datetime(2026, 1, 2, 14, 0, 0, 1, tzinfo=UTC)


def test_deadline_refuses_a_naive_start() -> None:
    with pytest.raises(ValueError, match=r"2026-01-02T10:00:00 has no time zone"):
        hours().deadline(datetime.fromisoformat("2026-01-02T10:00"), HOUR)


# --- segments --------------------------------------------------------------------------------------------------------
def test_segments_name_holidays() -> None:
    time = hours(
        holidays=[{"date": "2025-12-25", "name": "Christmas"}, {"date": "2025-12-26", "name": "Christmas"}, {"date": "2025-12-27", "name": "a Saturday"}]
    )
    assert time.segments(at("2025-12-24T12:00"), at("2025-12-29T10:00")) == [
        Segment(at("2025-12-24T12:00"), at("2025-12-24T17:00"), "open", None),
        Segment(at("2025-12-24T17:00"), at("2025-12-25T00:00"), "closed", None),
        Segment(at("2025-12-25T00:00"), at("2025-12-27T00:00"), "holiday", "Christmas"),
        Segment(at("2025-12-27T00:00"), at("2025-12-29T09:00"), "closed", None),
        Segment(at("2025-12-29T09:00"), at("2025-12-29T10:00"), "open", None),
    ]
    assert time.segments(at("2025-12-25T10:00"), at("2025-12-25T11:00")) == [Segment(at("2025-12-25T10:00"), at("2025-12-25T11:00"), "holiday", "Christmas")]
    assert time.segments(at("2025-12-25T10:00"), at("2025-12-25T10:00")) == []
    assert ALWAYS.segments(5, 9) == [Segment(5, 9, "open", None)]


def test_segments_of_a_cover_name_the_holidays_of_both() -> None:
    ours = Calendar.from_definition({"time_zone": "UTC", "hours": OFFICE, "holidays": [{"date": "2026-01-06", "name": "Ours"}]}, "x")
    theirs = Calendar.from_definition({"time_zone": "Asia/Tokyo", "hours": "24x7", "holidays": [{"date": "2026-01-07", "name": "Theirs"}]}, "x")
    states = [(segment.state, segment.name) for segment in business_time(cover(ours, theirs)).segments(at("2026-01-05T12:00"), at("2026-01-07T16:00"))]
    # their Wednesday begins at 15:00 on our Tuesday, which is a holiday of ours until midnight
    assert states == [("open", None), ("closed", None), ("holiday", "Ours"), ("holiday", "Theirs"), ("open", None)]


# --- pieces ----------------------------------------------------------------------------------------------------------
def test_equal_calendars_compile_once() -> None:
    assert hours() is hours()
    assert hours() is not hours(time_zone="Europe/Berlin")
    assert hours("24x7").between(0, 5) == 5


# --- laws ------------------------------------------------------------------------------------------------------------
TIMES = [
    hours(time_zone="Europe/Berlin", holidays=["2025-12-25", "2026-01-01"], exceptions={"2025-12-24": ["09:00-12:00"]}),
    hours({day: ["22:00-06:00", "08:00-08:01"] for day in ("mon", "wed", "sun")}, "America/New_York"),
    hours({"sat": ["00:00-24:00"]}, "Australia/Lord_Howe"),
    hours("24x7", "Asia/Kathmandu", holidays=["2026-03-01"]),
    ALWAYS,
]
times = st.sampled_from(TIMES)
instants = st.one_of(
    st.integers(year_start(2025), year_start(2027)),
    st.integers(0, 2 * 365 * 24 * 60).map(lambda minute: year_start(2025) + minute * MINUTE),  # edges are at whole minutes
)
amounts = st.one_of(st.just(0), st.integers(1, 400 * HOUR), st.integers(1, 400 * 60).map(lambda minute: minute * MINUTE))


@given(times, instants, amounts)
def test_elapsed_to_the_deadline_is_the_target(time: BusinessTime, start: int, amount: int) -> None:
    due = time.add(start, amount)
    assert due >= start
    assert time.between(start, due) == amount
    assert amount == 0 or time.between(start, due - 1) == amount - 1


@given(times, instants, amounts)
def test_subtract_undoes_add_up_to_closed_time(time: BusinessTime, start: int, amount: int) -> None:
    due = time.add(start, amount)
    before = time.subtract(due, amount)
    assert time.between(before, due) == amount
    assert time.between(min(start, before), max(start, before)) == 0
    assert amount == 0 or before >= start


@given(times, instants, instants, instants)
def test_elapsed_adds_up(time: BusinessTime, a: int, b: int, c: int) -> None:
    a, b, c = sorted((a, b, c))
    assert time.between(a, b) + time.between(b, c) == time.between(a, c)


@given(times, instants, instants, amounts, amounts)
def test_deadlines_are_monotone(time: BusinessTime, a: int, b: int, small: int, more: int) -> None:
    a, b = sorted((a, b))
    assert time.add(a, small) <= time.add(b, small)
    assert time.add(a, small) <= time.add(a, small + more)


@given(times, instants, amounts, amounts)
def test_a_target_in_two_parts_is_the_same_target(time: BusinessTime, start: int, first: int, second: int) -> None:
    if second:
        assert time.add(time.add(start, first), second) == time.add(start, first + second)


@given(times, instants, st.integers(0, 90 * DAY))
def test_segments_cover_all_and_their_open_part_is_elapsed(time: BusinessTime, start: int, length: int) -> None:
    end = start + length
    segments = time.segments(start, end)
    assert [segment.start for segment in segments] + [end] == [start] + [segment.end for segment in segments]
    assert all(segment.start < segment.end for segment in segments)
    assert all(a[2:] != b[2:] for a, b in pairwise(segments))
    assert sum(segment.end - segment.start for segment in segments if segment.state == "open") == time.between(start, end)


@given(times, instants, st.integers(0, 60 * DAY))
def test_agrees_with_the_plain_list_of_intervals(time: BusinessTime, start: int, length: int) -> None:
    plain = time.hours.intervals(start, start + length)
    assert time.open_intervals(start, start + length) == plain
    assert time.between(start, start + length) == sum(end - begin for begin, end in plain)
    assert time.is_open(start) is any(begin <= start < end for begin, end in time.hours.intervals(start, start + SECOND))


@given(times, instants)
def test_a_pause_outside_hours_changes_nothing(time: BusinessTime, start: int) -> None:
    closed = next((segment for segment in time.segments(start, start + 8 * DAY) if segment.state != "open"), None)
    if closed is not None:
        end = start + 9 * DAY
        assert time.between(start, closed.start) + time.between(closed.end, end) == time.between(start, end)
        assert time.add(closed.start, HOUR) == time.add(closed.end, HOUR)
