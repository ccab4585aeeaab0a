"""The ledger's rows and the one sentence about a clock, word by word."""

from typing import Any

import pytest

from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.evaluate import evaluate
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.ledger import Segment, ledger, sentence, sums
from sla_plugin.engine.policies import Book
from tests.engine.histories import OFFICE, START, answer, at, book, created, fact, status, terms

MINUTE = 60_000_000
AROUND = [book(terms(hours=ALWAYS, targets={"resolution": "2h"}))]
OFFICE_BOOKS = [book(terms(hours=OFFICE, targets={"resolution": "20h"}))]  # 08:00-12:00 and 13:00-18:00 in Berlin; Wednesday is a holiday


def said(facts: list[Fact], books: list[Book], minute: float) -> str:
    (clock,) = [c for c in evaluate(facts, books, at(minute)).clocks if c.metric == "resolution"]
    return sentence(clock, "Resolution").replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("facts", "minute", "words"),
    [
        ([], 30, "Resolution is running: 30 m of 2 h of business time used, 1 h 30 m left."),
        ([status("waiting_customer", 20)], 60, "Resolution is on hold: 20 m of 2 h of business time used, 1 h 40 m left. Not counted: 40 m on hold."),
        (
            [status("waiting_customer", 20), status("open", 60)],
            120,
            "Resolution is running: 1 h 20 m of 2 h of business time used, 40 m left. Not counted: 40 m on hold.",
        ),
        ([status("resolved", 30)], 60, "Resolution met: 30 m of 2 h of business time used."),
        ([status("closed", 30)], 60, "Resolution met: 30 m of 2 h of business time used."),
        ([status("cancelled", 30)], 60, "Resolution was cancelled after 30 m of business time; nothing is owed."),
        ([fact("ticket.deleted", 30, gone="deleted")], 60, "Resolution was cancelled after 30 m of business time; nothing is owed."),
        ([], 150, "Resolution breached: promised 2 h of business time, 2 h 30 m used, over by 30 m."),
        (
            [fact("deadline.extended", 10, extends=("resolution", 30 * MINUTE))],
            60,
            "Resolution is running: 1 h of 2 h 30 m of business time used, 1 h 30 m left. Of the target 30 m were granted by hand.",
        ),
        (
            [fact("deadline.extended", 130, extends=("resolution", 60 * MINUTE))],
            140,
            "Resolution breached under an earlier promise: 2 h 20 m of what is now 3 h of business time used. Of the target 1 h were granted by hand.",
        ),
    ],
)
def test_a_clock_in_one_sentence(facts: list[Fact], minute: float, words: str) -> None:
    assert said([created(), *facts], AROUND, minute) == words


def test_calendar_time_is_called_so() -> None:
    books = [book(terms(hours=OFFICE, targets={"resolution": {"target": "2d", "counts": "calendar"}}))]
    assert said([created()], books, 60) == "Resolution is running: 1 h of 48 h of calendar time used, 47 h left."
    (clock,) = evaluate([created(), status("waiting_customer", 20), status("open", 50)], books, at(600)).clocks
    assert [(r.state, r.counted // MINUTE, r.total // MINUTE) for r in ledger(clock)] == [("running", 20, 20), ("on_hold", 0, 20), ("running", 550, 570)]


@pytest.mark.parametrize(
    ("minute", "words"),
    [
        (120, "Resolution is running: 2 h of 20 h of business time used, 18 h left."),
        (360, "Resolution is running: 5 h of 20 h of business time used, 15 h left. Not counted: 1 h outside hours."),
        # Monday 10:00 to Thursday 08:30 in Berlin; Wednesday is a holiday
        (
            70.5 * 60,
            "Resolution is running: 16 h 30 m of 20 h of business time used, 3 h 30 m left. Not counted: 30 h outside hours, 24 h of holidays (holiday).",
        ),
    ],
)
def test_what_is_not_counted_is_named(minute: float, words: str) -> None:
    assert said([created()], OFFICE_BOOKS, minute) == words


def test_rows_of_a_clock() -> None:
    facts = [created(), answer(10), status("waiting_customer", 60), status("open", 90), status("resolved", 200)]
    (clock,) = [c for c in evaluate(facts, OFFICE_BOOKS, at(300)).clocks if c.metric == "resolution"]
    rows = ledger(clock)

    def row(since: float, until: float, state: str, counted: int, total: int, cause: Fact) -> tuple[Any, ...]:
        return at(since), at(until), state, None, counted * MINUTE, total * MINUTE, cause.key, "P1", 1, 1

    assert at(0) == START
    assert [tuple(r) for r in rows] == [
        row(0, 60, "running", 60, 60, facts[0]),
        row(60, 90, "on_hold", 0, 60, facts[2]),
        row(90, 120, "running", 30, 90, facts[3]),
        row(120, 180, "outside_hours", 0, 90, facts[3]),
        row(180, 200, "running", 20, 110, facts[3]),
        row(200, 300, "stopped", 0, 110, facts[4]),
    ]
    assert (sums(rows, ("running",)), sums(rows, ("on_hold", "stopped")), sums(rows, ())) == (110 * MINUTE, 130 * MINUTE, 0)


def test_time_that_nobody_promised_is_no_time_of_the_clock() -> None:
    vip = {"field": "tags", "contains": "vip"}
    books = [book(terms(hours=ALWAYS, targets={"resolution": "2h"}, applies_to=vip, on_change="restart"))]
    facts = [created(tags=()), fact("tags.changed", 30, tags=("vip",)), fact("tags.changed", 50, tags=()), fact("tags.changed", 70, tags=("vip",))]
    (clock,) = evaluate(facts, books, at(100)).clocks
    rows = ledger(clock)
    assert [(r.state, r.counted // MINUTE, r.total // MINUTE, r.policy) for r in rows] == [
        ("unpromised", 0, 0, None),
        ("set_aside", 0, 0, "P1"),
        ("unpromised", 0, 0, None),
        ("running", 30, 30, "P1"),
    ]


def test_holidays_are_named_once() -> None:
    rows = [
        Segment(0, 10, "holiday", "New Year", 0, 0, "", None, None, None),
        Segment(10, 20, "holiday", "Epiphany", 0, 0, "", None, None, None),
        Segment(20, 30, "holiday", "New Year", 0, 0, "", None, None, None),
    ]
    assert sums(rows, ("holiday",)) == 30
