"""The clock picture: what is drawn, and that nothing in it needs a style or a script."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from sla_plugin.engine.evaluate import Clock, evaluate
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.ledger import ledger
from sla_plugin.engine.policies import Book
from sla_plugin.reports.clock_picture import clock_picture
from sla_plugin.services.read_books import build_books
from sla_plugin.store.policies import CalendarVersion, PolicyVersion

HOUR = 3_600_000_000
MONDAY = 1_793_577_600_000_000  # 2026-11-02 00:00 UTC
HOURS = {
    "time_zone": "UTC",
    "hours": {d: ["09:00-17:00"] for d in ("mon", "tue", "wed", "thu", "fri")},
    "holidays": [{"date": "2026-11-03", "name": "<b>Feast</b>"}],
}


def books() -> list[Book]:
    """One policy: resolution in eight business hours."""
    policy = PolicyVersion(
        tenant_id=1,
        id=1,
        policy_id=1,
        version=1,
        definition={"name": "P", "calendar": "C", "targets": {"resolution": "8h"}},
        effective_at=0,
        revision=1,
        made_by="",
    )
    calendar = CalendarVersion(tenant_id=1, id=2, calendar_id=1, version=1, definition=HOURS, effective_at=0, revision=1, made_by="")
    return build_books([("P", policy)], [("C", calendar)])


def clock_at(as_of: int, *facts: Fact) -> Clock:
    """The resolution clock of a ticket created on Monday at 12:00."""
    created = Fact(key="e0", kind="ticket.created", at=MONDAY + 12 * HOUR)
    (clock,) = evaluate([created, *facts], books(), as_of).clocks
    return clock


def drawn(clock: Clock, now: int, **more: object) -> str:
    """The picture as text."""
    return str(
        clock_picture(clock, ledger(clock), now=now, ident="r-1", title="Resolution clock", sentence="A <sentence> & more.", say=lambda at: f"t{at}", **more)
    )  # type: ignore[arg-type]


PENDING = Fact(key="e1", kind="status.changed", at=MONDAY + 14 * HOUR, sets={"status": "waiting_customer"})
SOLVED = Fact(key="e2", kind="status.changed", at=MONDAY + 16 * HOUR, sets={"status": "resolved"})


@pytest.mark.parametrize(
    ("as_of", "facts", "there", "absent"),
    [
        pytest.param(13, (), ("seg-running", "seg-coming", "mark-due", "seg-holiday", 'class="now"'), ("seg-over", "mark-breach"), id="running"),
        pytest.param(15, (PENDING,), ("seg-on_hold", 'class="now"'), ("seg-coming", "mark-due"), id="on hold"),
        pytest.param(64, (), ("seg-over", "mark-breach", "seg-outside_hours", "seg-holiday"), ("seg-coming", "mark-due"), id="breached"),
        pytest.param(20, (SOLVED,), ("seg-running", "mark-met"), ("seg-coming", 'class="now"', "seg-stopped"), id="met"),
    ],
)
def test_states_are_drawn_as_shapes(as_of: int, facts: tuple[Fact, ...], there: tuple[str, ...], absent: tuple[str, ...]) -> None:
    now = MONDAY + as_of * HOUR
    text = drawn(clock_at(now, *facts), now, events=[MONDAY + 12 * HOUR])
    for mark in there:
        assert mark in text
    for mark in absent:
        assert mark not in text


@pytest.mark.parametrize("scale", ["", "business", "wall"])
@pytest.mark.parametrize("as_of", [12, 13, 17, 30, 57, 64, 200])
def test_geometry_stays_within_the_picture(scale: str, as_of: int) -> None:
    now = MONDAY + as_of * HOUR
    text = drawn(clock_at(now), now, scale=scale, events=[MONDAY + 12 * HOUR + n for n in range(30)])
    root = ElementTree.fromstring(text)  # well formed
    assert root.attrib["role"] == "img"
    for value in re.findall(r' (?:x|x1|x2|cx)="([\d.]+)%"', text):
        assert 0 <= float(value) <= 100.001
    bars = [(float(x), float(w)) for x, w in re.findall(r'<rect x="([\d.]+)%" y="34" width="([\d.]+)%"', text)]
    assert all(x + w <= 100.1 for x, w in bars)
    assert all(after[0] >= before[0] + before[1] - 0.1 for before, after in pairwise(bars))


def test_text_is_escaped_and_nothing_is_inline() -> None:
    now = MONDAY + 64 * HOUR
    text = drawn(clock_at(now), now)
    assert "A &lt;sentence&gt; &amp; more." in text
    assert "<b>" not in text
    assert "style=" not in text
    assert 'aria-labelledby="t-r-1 d-r-1"' in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert all(name.endswith("r-1") for name in ids)


def test_nothing_is_drawn_before_the_first_instant_asked_for() -> None:
    now = MONDAY + 64 * HOUR
    whole, day = drawn(clock_at(now), now), drawn(clock_at(now), now, first=now - 24 * HOUR)
    assert f"t{MONDAY + 12 * HOUR}<" in whole.replace("</text>", "<")
    assert "seg-over" in day
    assert day.count('class="seg') < whole.count('class="seg')
