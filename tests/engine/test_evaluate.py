"""How a clock stands at an instant: phases, levels, the next transition, what is due while it is held; the ledger and its sentence."""

import pytest

from sla_plugin.engine.business_time import ALWAYS, NEVER, business_time
from sla_plugin.engine.calendars import Calendar
from sla_plugin.engine.checkpoints import Checkpoint
from sla_plugin.engine.durations import DAY, MINUTE
from sla_plugin.engine.evaluate import Clock, evaluate, make_checkpoint
from sla_plugin.engine.facts import Fact, in_order
from sla_plugin.engine.ledger import ledger, sentence
from sla_plugin.engine.policies import Book
from tests.engine.histories import answer, at, book, clocks_of, created, fact, status, terms

HUNDRED = [book(terms(hours=ALWAYS, targets={"resolution": "100m"}))]


def one(facts: list[Fact], minute: float, books: list[Book] | None = None) -> Clock:
    (clock,) = evaluate(facts, books or HUNDRED, at(minute)).clocks
    return clock


@pytest.mark.parametrize(
    ("minute", "passed", "coming"),
    [
        (79.99, {}, 80),
        (80, {"warning": 80}, 95),
        (94.99, {"warning": 80}, 95),
        (95, {"warning": 80, "critical": 95}, 100),
        (100, {"warning": 80, "critical": 95}, 100),  # equality is met: the breach is the instant after
        (100.01, {"warning": 80, "critical": 95, "breach": 100}, None),
    ],
)
def test_levels_pass_by_time(minute: float, passed: dict[str, int], coming: int | None) -> None:
    verdict = evaluate([created()], HUNDRED, at(minute))
    assert dict(verdict.clocks[0].passed) == {level: at(m) for level, m in passed.items()}
    microsecond = 1 if coming == 100 else 0
    assert verdict.next_transition_at == (None if coming is None else at(coming) + microsecond)


def test_a_calendar_that_opens_no_more_is_never_due() -> None:
    once = Calendar.from_definition({"time_zone": "UTC", "hours": {}, "exceptions": {"2026-11-16": ["09:00-10:00"]}}, "once")
    verdict = evaluate([created()], [book(terms(hours=business_time(once), targets={"resolution": "2h"}))], at(10_000))
    assert [(c.phase, c.elapsed // MINUTE, c.deadline_at, c.breached_at) for c in verdict.clocks] == [("running", 60, NEVER, None)]
    assert verdict.next_transition_at is None


def test_the_breach_is_the_first_microsecond_after() -> None:
    assert evaluate([created()], HUNDRED, at(100)).clocks[0].breached_at is None
    assert evaluate([created()], HUNDRED, at(100) + 1).clocks[0].breached_at == at(100)


@pytest.mark.parametrize(
    ("facts", "minute", "phase", "due", "moves"),
    [
        ([created()], 50, "running", 100, 80),
        ([created(), status("waiting_customer", 30)], 50, "on_hold", None, None),
        ([created(), status("waiting_customer", 30), status("open", 60)], 70, "running", 130, 110),
        ([created(), status("waiting_customer", 150)], 200, "on_hold", 100, None),  # breached before it was held
        ([created(), status("waiting_customer", 85)], 200, "on_hold", None, None),
        ([created(), status("resolved", 30)], 50, "stopped", 100, 30 + 4 * 1440),
        ([created(), status("resolved", 30), status("closed", 40)], 50, "finished", 100, None),
        ([created(), status("resolved", 130)], 150, "stopped", 100, 130 + 4 * 1440),
        ([created(), status("waiting_customer", 20), status("resolved", 50)], 60, "stopped", 100, 50 + 4 * 1440),  # as if it had run on from the start
        ([created(), fact("ticket.deleted", 30, gone="deleted")], 50, "cancelled", None, None),
        ([created(), fact("ticket.deleted", 30, gone="deleted"), fact("ticket.restored", 40, gone="")], 50, "running", 110, 90),
        ([created(status="waiting_customer")], 50, "on_hold", None, None),
    ],
)
def test_phases(facts: list[Fact], minute: float, phase: str, due: int | None, moves: int | None) -> None:
    clock, coming = one(facts, minute), evaluate(facts, HUNDRED, at(minute)).next_transition_at
    assert (clock.phase, clock.deadline_at, coming) == (phase, None if due is None else at(due), None if moves is None else at(moves))


def test_a_deadline_at_closing_is_kept_beside_the_next_opening() -> None:
    # created at 10:00 in Berlin, 2 h to the lunch break
    clock = one([created()], 10, [book(terms(targets={"resolution": "2h"}))])
    assert (clock.deadline_at, clock.deadline_next_open_at) == (at(120), at(180))
    assert one([created()], 179, [book(terms(targets={"resolution": "2h"}))]).breached_at is None
    assert one([created()], 181, [book(terms(targets={"resolution": "2h"}))]).breached_at == at(180)


def test_a_target_spent_before_a_pause_breaches_when_it_runs_again() -> None:
    facts = [created(), status("waiting_customer", 100), status("open", 200)]
    clock = one(facts, 210)
    assert (clock.deadline_at, clock.deadline_next_open_at, clock.breached_at) == (at(100), at(200), at(200))


def test_the_ledger_names_what_did_not_count() -> None:
    facts = [created(), status("waiting_customer", 60), status("open", 90), status("resolved", 3 * 1440)]
    clock = one(facts, 3 * 1440 + 10, [book(terms(targets={"resolution": "40h"}))])
    rows = [((r.since - at(0)) // MINUTE, (r.until - at(0)) // MINUTE, r.state, r.name, r.counted // MINUTE) for r in ledger(clock)]
    # 09:00 UTC is 10:00 in Berlin: lunch from minute 120 to 180, the office closes at minute 480
    assert rows[:5] == [
        (0, 60, "running", None, 60),
        (60, 90, "on_hold", None, 0),
        (90, 120, "running", None, 30),
        (120, 180, "outside_hours", None, 0),
        (180, 480, "running", None, 300),
    ]
    assert [(r[1] - r[0], r[4]) for r in rows if r[2] == "holiday"] == [(1440, 0)]  # Wednesday, from midnight to midnight in Berlin
    assert rows[-1][2] == "stopped"
    assert {r.policy for r in ledger(clock)} == {"P1"}
    assert [r.cause for r in ledger(clock)][:2] == [facts[0].key, facts[1].key]


@pytest.mark.parametrize(
    ("facts", "minute", "words"),
    [
        ([created()], 50, "Resolution is running: 50 m of 1 h 40 m of calendar time used, 50 m left."),
        (
            [created(), status("waiting_customer", 30)],
            50,
            "Resolution is on hold: 30 m of 1 h 40 m of calendar time used, 1 h 10 m left. Not counted: 20 m on hold.",
        ),
        ([created(), status("resolved", 30)], 50, "Resolution met: 30 m of 1 h 40 m of calendar time used."),
        ([created()], 130, "Resolution breached: promised 1 h 40 m of calendar time, 2 h 10 m used, over by 30 m."),
        ([created(), status("cancelled", 30)], 50, "Resolution was cancelled after 30 m of calendar time; nothing is owed."),
    ],
)
def test_the_sentence(facts: list[Fact], minute: float, words: str) -> None:
    clock = one(facts, minute, [book(terms(targets={"resolution": {"*": {"target": "100m", "counts": "calendar"}}}))])
    assert sentence(clock, clock.title).replace("\u00a0", " ") == words


def test_own_writes_move_the_mirror_and_no_clock() -> None:
    facts = [created(), fact("own.write", 10, own=True, priority="P0", status="resolved"), fact("priority.changed", 11, priority="P0")]
    books = [book(terms(hours=ALWAYS, targets={"resolution": {"P0": "1m", "P1": "100m"}}))]
    verdict = evaluate(facts, books, at(50))
    assert (verdict.mirror["priority"], verdict.state["priority"], verdict.clocks[0].target) == ("P0", "P1", 100 * MINUTE)
    assert verdict.clocks[0].phase == "running"


@pytest.mark.parametrize(
    ("facts", "order"),
    [
        ([status("open", 5), status("resolved", 5), status("waiting_customer", 5)], ["resolved", "waiting_customer", "open"]),
        ([fact("status.changed", 5, status="open", sequence=1), fact("status.changed", 5, status="resolved", sequence=2)], ["open", "resolved"]),
        ([fact("status.changed", 5, status="open", sequence=1), status("resolved", 5)], ["resolved", "open"]),
    ],
)
def test_order_within_an_instant(facts: list[Fact], order: list[str]) -> None:
    assert [f.sets["status"] for f in in_order(facts)] == [f.sets["status"] for f in in_order(facts[::-1])] == order


def test_a_snapshot_heals_what_was_lost_at_its_own_instant() -> None:
    facts = [created(), answer(10, seen={"status": "resolved"}, seen_at=at(30))]
    assert [one(facts, minute).phase for minute in (20, 29.9, 31)] == ["running", "running", "stopped"]
    assert one(facts, 40).stopped_at == at(30)
    assert make_checkpoint(facts, HUNDRED, at(20)) is None  # the snapshot belongs after it
    assert make_checkpoint(facts, HUNDRED, at(30)) is not None


def test_a_snapshot_without_an_instant_of_its_own_shows_the_ticket_after_its_event() -> None:
    assert one([created(), answer(10, seen={"status": "resolved"})], 20).stopped_at == at(10)


def test_finished_cycles_are_left_behind_a_checkpoint() -> None:
    facts = [created(), status("resolved", 10), status("closed", 20), status("open", 30)]
    checkpoint = make_checkpoint(facts, HUNDRED, at(40))
    assert checkpoint is not None
    verdict = evaluate([status("resolved", 50)], HUNDRED, at(60), checkpoint=checkpoint)
    assert verdict.frozen == {"resolution": 1}
    assert [(c.cycle, c.phase) for c in verdict.clocks] == [(2, "stopped")]
    assert clocks_of(verdict) == clocks_of(evaluate([*facts, status("resolved", 50)], HUNDRED, at(60)))[1:]


def test_a_checkpoint_of_other_books_or_another_version_is_not_read() -> None:
    checkpoint = make_checkpoint([created()], HUNDRED, at(40))
    assert checkpoint is not None
    data = checkpoint.as_data()
    assert Checkpoint.from_data(data, HUNDRED) is not None
    assert Checkpoint.from_data({**data, "version": 0}, HUNDRED) is None
    assert Checkpoint.from_data({**data, "revision": 9}, HUNDRED) is None
    assert Checkpoint.from_data(data, [book(terms(7, ALWAYS, targets={"resolution": "100m"}))]) is None
    with pytest.raises(ValueError, match="evaluate without the checkpoint"):
        evaluate([answer(30)], HUNDRED, at(60), checkpoint=checkpoint)


@pytest.mark.parametrize("late", [created(70), fact("ticket.observed", 70, seen={"created_at": at(-5)}), fact("ticket.updated", 70, created_at=at(-5))])
def test_a_creation_told_late_is_refused_by_a_checkpoint_without_one(late: Fact) -> None:
    checkpoint = make_checkpoint([status("open", 0)], HUNDRED, at(40))
    assert checkpoint is not None
    assert not checkpoint.fits([late], HUNDRED)
    assert checkpoint.fits([answer(70)], HUNDRED)


def test_a_checkpoint_that_has_the_creation_takes_what_says_it_again() -> None:
    checkpoint = make_checkpoint([created()], HUNDRED, at(40))
    assert checkpoint is not None
    assert checkpoint.fits([fact("ticket.observed", 70, seen={"created_at": at(0)})], HUNDRED)
    onward = make_checkpoint([answer(50)], HUNDRED, at(60), checkpoint=checkpoint)
    assert onward is not None
    assert onward.fits([fact("ticket.observed", 70, seen={"created_at": at(0)})], HUNDRED)


def test_a_settled_cycle_is_finished_before_new_terms_come() -> None:
    later = book(terms(2, ALWAYS, targets={"resolution": "1m"}), since=at(30) + 5 * DAY, revision=2)
    facts = [created(), status("resolved", 30), status("open", 30 + 6 * 1440)]
    (first, second) = evaluate(facts, [*HUNDRED, later], at(30) + 7 * DAY).clocks
    assert (first.phase, first.target, first.finished_at, first.breached_at) == ("finished", 100 * MINUTE, at(30) + 4 * DAY, None)
    assert (second.cycle, second.target) == (2, MINUTE)


def test_the_state_of_a_ticket_holds_its_fields_and_nothing_of_the_last_event() -> None:
    verdict = evaluate([created(), answer(10, opening=True), status("open", 20)], [book()], at(30))
    assert verdict.state == {"status": "open", "priority": "P1", "tags": (), "requester": "c1", "created_at": at(0)}
    assert verdict.mirror == {"status": "open", "priority": "P1", "tags": (), "requester": "c1"}
    assert evaluate([], [book()], at(30)).state == {"status": "open", "priority": "P2", "tags": ()}
