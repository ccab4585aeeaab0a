"""How pages write time, shares and numbers."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sla_plugin.web import formats
from tests.web.world import at

BERLIN = ZoneInfo("Europe/Berlin")
NOW = at("2026-11-04T13:32:07")


def plain(text: str | None) -> str | None:
    """With ordinary spaces."""
    return text.replace("\u00a0", " ") if text is not None else None


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        pytest.param("2026-11-04T14:52:00", "15:52", id="today"),
        pytest.param("2026-11-05T09:05:00", "Thu 10:05", id="within six days"),
        pytest.param("2026-10-05T08:37:00", "5 Oct 10:37", id="this year"),
        pytest.param("2025-11-05T09:37:00", "5 Nov 2025 10:37", id="another year"),
        pytest.param("2026-10-25T00:30:00", "25 Oct 02:30 CEST", id="the first of an hour that comes twice"),
        pytest.param("2026-10-25T01:30:00", "25 Oct 02:30 CET", id="the second"),
    ],
)
def test_instants_are_as_short_as_they_are_clear(moment: str, said: str) -> None:
    assert plain(formats.instant(at(moment), NOW, BERLIN)) == said


def test_title_names_both_zones() -> None:
    assert formats.instant_title(at("2026-11-04T09:37:00"), BERLIN) == "Wed 4 Nov 2026, 10:37:00 CET · 09:37:00 UTC"
    assert formats.instant_title(at("2026-11-04T09:37:00"), ZoneInfo("UTC")) == "Wed 4 Nov 2026, 09:37:00 UTC"
    assert formats.iso(at("2026-11-04T09:37:00")) == "2026-11-04T09:37:00Z"


@pytest.mark.parametrize(
    ("past", "said"),
    [(0, "0 s ago"), (12, "12 s ago"), (180, "3 min ago"), (7200, "2 h ago"), (3 * 86400, "3 d ago"), (7 * 86400, None), (-1, None)],
)
def test_relative_time_is_for_the_near_past_only(past: int, said: str | None) -> None:
    assert plain(formats.ago(NOW - past * 1_000_000, NOW)) == said


@pytest.mark.parametrize(
    ("left", "said"),
    [(8_640_000_000, "2 h 24 m left"), (0, "due now"), (-1, "over by 1 s"), (-14_100_000_000, "over by 3 h 55 m"), (112_000_000_000, "31 h 06 m left")],
)
def test_time_left_rounds_down_but_an_overrun_is_never_nothing(left: int, said: str) -> None:
    assert plain(formats.time_left(left)) == said


def test_calendar_time_may_turn_into_days() -> None:
    assert plain(formats.time_left(76 * 3_600_000_000, business=False)) == "3 d 4 h left"


@given(st.integers(0, 5000), st.integers(1, 5000))
def test_a_rate_is_cut_and_agrees_with_its_word(met: int, more: int) -> None:
    total = met + more
    shown = float(formats.rate(met, total).split("\u00a0")[0])
    assert shown <= 100 * met / total < shown + 0.1 + 1e-9
    word = formats.rate_word(met, total)
    assert word == "few" if total < 20 else {"good": shown >= 95, "watch": 80 <= shown < 95, "low": shown < 80}[word]


def test_nothing_has_no_rate() -> None:
    assert (formats.rate(0, 0), formats.rate_word(0, 0)) == ("–", "none")
    assert plain(formats.rate(9496, 10000)) == "94.9 %"
    assert formats.number(12400) == "12,400"
    assert plain(formats.size(2100)) == "2.1 kB"
