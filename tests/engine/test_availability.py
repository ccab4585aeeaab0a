"""Availability: what of the promised time was lost, and when the allowance was spent."""

from fractions import Fraction

import pytest

from sla_plugin.engine.availability import availability, read_percent
from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.durations import HOUR, MINUTE
from sla_plugin.errors import InvalidDefinition
from tests.engine.histories import OFFICE, at

DAY = 1440


@pytest.mark.parametrize(
    ("outages", "as_of", "down", "breached"),
    [
        ([], 10 * DAY, 0, None),
        ([(60, 120)], 10 * DAY, 60, None),
        ([(60, 120), (90, 130), (120, 140)], 10 * DAY, 80, None),  # overlapping ones count once
        ([(60, 204)], 10 * DAY, 144, None),  # exactly the allowance is met
        ([(60, 205)], 10 * DAY, 145, 204),
        ([(60, 160), (500, None)], 600, 200, 544),  # one lasts
        ([(-500, 10)], 10 * DAY, 10, None),
        ([(9 * DAY, 20 * DAY)], 30 * DAY, DAY, 9 * DAY + 144),
        ([(500, 900)], 400, 0, None),  # not yet
    ],
)
def test_around_the_clock(outages: list[tuple[int, int | None]], as_of: int, down: int, breached: int | None) -> None:
    lost = [(at(begin), None if over is None else at(over)) for begin, over in outages]
    found = availability(ALWAYS, at(0), at(10 * DAY), Fraction(99), lost, at(as_of))
    assert (found.down, found.allowed, found.promised) == (down * MINUTE, 144 * MINUTE, 10 * DAY * MINUTE)
    assert found.breached_at == (None if breached is None else at(breached))
    assert found.percent == pytest.approx(100 - down / 144)


def test_only_promised_hours_count() -> None:
    # Monday 09:00 UTC is 10:00 in Berlin; the office closes at 12:00 and at 18:00
    found = availability(OFFICE, at(0), at(DAY), Fraction(50), [(at(0), at(20 * 60))], at(DAY))
    assert (found.promised, found.down, found.allowed) == (9 * HOUR, 7 * HOUR, 4 * HOUR + 30 * MINUTE)
    assert found.breached_at == at(5 * 60 + 30)


@pytest.mark.parametrize(("value", "wanted"), [(99.9, Fraction(999, 10)), ("99.95 %", Fraction(9995, 100)), (100, Fraction(100))])
def test_percentages(value: object, wanted: Fraction) -> None:
    assert read_percent(value, "target") == wanted


@pytest.mark.parametrize("value", [0, -1, 100.1, "most", None, True, "1/0"], ids=repr)
def test_refused_percentages(value: object) -> None:
    with pytest.raises(InvalidDefinition, match="target"):
        read_percent(value, "target")
