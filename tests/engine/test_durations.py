"""Durations as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sla_plugin.engine.durations import DAY, HOUR, LONGEST, MINUTE, SECOND, badge_text, clock_text, format_duration, parse_duration
from sla_plugin.errors import InvalidDefinition


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("45s", 45 * SECOND),
        ("15m", 15 * MINUTE),
        ("8h", 8 * HOUR),
        (" 8 H ", 8 * HOUR),
        ("1h30", 90 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("1h 30m 5s", 90 * MINUTE + 5 * SECOND),
        ("1:30", 90 * MINUTE),
        ("90m", 90 * MINUTE),
        ("1h05", 65 * MINUTE),
    ],
)
def test_reads_durations(text: str, amount: int) -> None:
    assert parse_duration(text, "target") == amount


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (90, "write a unit"),
        ("90", "write a unit"),
        (1.5, "write a unit"),
        ("-5m", "negative"),
        (-5, "negative"),
        ("0h", "zero"),
        ("0:00", "zero"),
        ("2d", "write hours, e.g. 16h"),
        ("11000d", "write hours"),
        ("100000h", "ten years"),
        ("999999999h", "ten years"),
        ("9999999999h", "unclear"),
        ("1:75", "unclear"),
        ("soon", "unclear"),
        ("30m1h", "unclear"),
        ("", "unclear"),
        ("h", "unclear"),
        (True, "no duration"),
        (None, "no duration"),
        (["8h"], "no duration"),
    ],
    ids=repr,
)
def test_refuses_and_says_where_and_what_to_write(value: object, says: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_duration(value, "targets.resolution.P1")
    assert caught.value.field == "targets.resolution.P1"
    assert says in caught.value.problem


def test_days_are_24_hours_where_allowed() -> None:
    assert parse_duration("2d", "settle", allow_days=True) == 2 * DAY
    assert parse_duration("1d12h", "settle", allow_days=True) == 36 * HOUR


def test_ten_years_is_the_longest() -> None:
    assert parse_duration("3653d", "settle", allow_days=True) == LONGEST
    with pytest.raises(InvalidDefinition):
        parse_duration("3654d", "settle", allow_days=True)


@pytest.mark.parametrize(
    ("amount", "text", "with_days"),
    [
        (0, "0 s", "0 s"),
        (SECOND - 1, "0 s", "0 s"),
        (42 * SECOND, "42 s", "42 s"),
        (60 * SECOND - 1, "59 s", "59 s"),
        (38 * MINUTE, "38 m", "38 m"),
        (5 * MINUTE + 3 * SECOND, "5 m 03 s", "5 m 03 s"),
        (80 * MINUTE + 59 * SECOND, "1 h 20 m", "1 h 20 m"),
        (235 * MINUTE, "3 h 55 m", "3 h 55 m"),
        (8 * HOUR, "8 h", "8 h"),
        (8 * HOUR + 59 * SECOND, "8 h", "8 h"),
        (31 * HOUR + 5 * MINUTE, "31 h 05 m", "1 d 7 h"),
        (76 * HOUR, "76 h", "3 d 4 h"),
        (-61 * SECOND, "-1 m 01 s", "-1 m 01 s"),
        (-SECOND // 2, "0 s", "0 s"),
    ],
)
def test_shows_the_two_largest_units_rounded_down(amount: int, text: str, with_days: str) -> None:
    assert format_duration(amount).replace("\u00a0", " ") == text
    assert format_duration(amount, days=True).replace("\u00a0", " ") == with_days
    assert " " not in format_duration(amount)


@pytest.mark.parametrize(("amount", "text"), [(0, "0:00:00"), (4807 * SECOND + 999_999, "1:20:07"), (100 * HOUR, "100:00:00"), (-61 * SECOND, "-0:01:01")])
def test_clock_text(amount: int, text: str) -> None:
    assert clock_text(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0m"), (30, "0m"), (31, "1m"), (5430, "90m"), (5431, "2h"), (36 * 3600, "36h"), (131401, "2d"), (216000, "2d"), (216001, "3d")]
)
def test_badge_rounds_an_exact_half_down(seconds: int, text: str) -> None:
    assert badge_text(seconds * SECOND) == text


@given(st.integers(1, 80_000), st.integers(0, 59), st.integers(0, 59))
def test_what_is_written_is_read_back(hours: int, minutes: int, seconds: int) -> None:
    amount = hours * HOUR + minutes * MINUTE + seconds * SECOND
    assert parse_duration(f"{hours}h{minutes}m{seconds}s", "x") == amount
    assert clock_text(amount) == f"{hours}:{minutes:02}:{seconds:02}"
    assert parse_duration(format_duration(amount).replace("\u00a0", ""), "x") == hours * HOUR + minutes * MINUTE
