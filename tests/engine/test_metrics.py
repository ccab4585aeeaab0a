"""Every metric as a table: what happened -> its cycles as (start, stop or None, counted minutes, phase), in minutes after the creation; 24x7."""

from typing import Any

import pytest

from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.durations import DAY, MINUTE
from sla_plugin.engine.evaluate import evaluate
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.metrics.definitions import METRICS, MetricOptions
from tests.engine.histories import answer, at, book, created, cycles, fact, question, status, terms

Cycle = tuple[float, float | None, float, str]
note = fact("note.internal", 10, actor_role="agent", actor_id="a1")
bot = fact("reply.public", 10, actor_role="system")
opening = question(0, opening=True)
by_agent = created(actor_role="agent", actor_id="a1")
RUNNING = "running"
DONE = "finished"


def group(name: str | None, minute: float) -> Fact:
    return fact("group.changed", minute, group=name)


def assigned(name: str | None, minute: float) -> Fact:
    return fact("assignee.changed", minute, assignee=name)


TABLE: list[tuple[str, dict[str, Any], list[Fact], list[Cycle]]] = [
    # first response
    ("first_response", {}, [created(), answer(10), answer(20)], [(0, 10, 10, DONE)]),
    ("first_response", {}, [created(), question(5), note, bot, answer(20, actor_id="c1")], [(0, None, 100, RUNNING)]),
    ("first_response", {"internal_notes": True}, [created(), note], [(0, 10, 10, DONE)]),
    ("first_response", {"bots": True}, [created(), bot], [(0, 10, 10, DONE)]),
    ("first_response", {}, [by_agent, answer(20)], []),
    ("first_response", {"agent_created": True}, [by_agent, answer(0, opening=True), answer(20)], [(0, 20, 20, DONE)]),
    ("first_response", {}, [created(), status("waiting_customer", 5)], [(0, None, 100, RUNNING)]),
    ("first_response", {"pause_in": ["waiting_customer"]}, [created(), status("waiting_customer", 5)], [(0, None, 5, "on_hold")]),
    ("first_response", {}, [created(), status("resolved", 5), status("open", 15)], [(0, None, 90, RUNNING)]),
    ("first_response", {}, [created(), status("closed", 5), status("open", 15)], [(0, None, 5, "cancelled")]),
    ("first_response", {}, [created(status="closed")], []),
    # next response: the oldest unanswered message counts
    ("next_response", {}, [created(), opening, answer(5)], []),
    ("next_response", {}, [created(), question(10), question(20), answer(30), answer(40), question(50)], [(10, 30, 20, DONE), (50, None, 50, RUNNING)]),
    ("next_response", {}, [created(), question(10), note], [(10, None, 90, RUNNING)]),
    ("next_response", {}, [created(), status("resolved", 5), question(10)], [(10, None, 0, "on_hold")]),  # thanks after the end
    ("next_response", {}, [created(), status("resolved", 5), question(10), status("open", 20)], [(10, None, 80, RUNNING)]),
    ("next_response", {}, [created(), question(10), status("closed", 20)], [(10, None, 10, "cancelled")]),
    ("next_response", {}, [created(), question(10, actor_role="agent")], [(10, None, 90, RUNNING)]),  # a requester who is an agent elsewhere
    ("next_response", {"reopens": "never"}, [created(), question(10), answer(20), question(30)], [(10, 20, 10, DONE)]),
    # updates
    ("periodic_update", {}, [created(), answer(10), answer(30), status("waiting_customer", 35)], [(10, 30, 20, DONE), (30, None, 70, RUNNING)]),
    ("periodic_update", {}, [created(), answer(10), status("resolved", 30), status("open", 40)], [(10, 30, 20, DONE)]),
    (
        "pausable_update",
        {},
        [created(), answer(10), status("waiting_customer", 30), status("open", 50), answer(60)],
        [(10, 60, 30, DONE), (60, None, 40, RUNNING)],
    ),
    # the whole of the work
    ("resolution", {}, [created(), status("waiting_customer", 10), status("open", 40), status("resolved", 50)], [(0, 50, 20, "stopped")]),
    ("resolution", {}, [created(), status("resolved", 10), status("open", 40)], [(0, None, 70, RUNNING)]),
    ("resolution", {}, [created(), status("resolved", 10), status("closed", 20), status("open", 40)], [(0, 10, 10, DONE), (40, None, 60, RUNNING)]),
    ("resolution", {"reopens": "new_cycle"}, [created(), status("resolved", 10), status("open", 40)], [(0, 10, 10, DONE), (40, None, 60, RUNNING)]),
    ("resolution", {"reopens": "never"}, [created(), status("resolved", 10), status("open", 40)], [(0, 10, 10, DONE)]),
    ("resolution", {"stops": "closed"}, [created(), status("resolved", 10), status("closed", 20)], [(0, 20, 20, DONE)]),
    ("resolution", {"starts": "assignment"}, [created(), assigned("a1", 30)], [(30, None, 70, RUNNING)]),
    ("resolution", {}, [created(), status("cancelled", 30)], [(0, None, 30, "cancelled")]),
    ("resolution", {}, [created(), status("resolved", 10), status("cancelled", 30)], [(0, 10, 10, "cancelled")]),
    ("resolution", {}, [created(), fact("ticket.merged", 20, gone="merged"), status("closed", 21)], [(0, None, 20, "cancelled")]),
    ("requester_wait", {}, [created(), status("waiting_customer", 10), status("waiting_internal", 20), status("resolved", 50)], [(0, 50, 40, "stopped")]),
    (
        "agent_work",
        {},
        [created(), status("waiting_customer", 10), status("waiting_internal", 20), status("open", 45), status("resolved", 50)],
        [(0, 50, 15, "stopped")],
    ),
    ("group_ownership", {"reopens": "never"}, [created(), group("t1", 10), group("t2", 30)], [(10, 30, 20, DONE)]),
    ("periodic_update", {"reopens": "never"}, [created(), answer(10), answer(30)], [(10, 30, 20, DONE)]),
    # ownership
    ("group_ownership", {}, [created(), group("t1", 10), group("t2", 30), group("t1", 35)], [(10, 30, 20, DONE), (30, 35, 5, DONE), (35, None, 65, RUNNING)]),
    ("group_ownership", {}, [created(group="t1"), status("resolved", 10), status("open", 30)], [(0, 10, 10, DONE), (30, None, 70, RUNNING)]),
    ("group_ownership", {}, [created(group="t1"), group(None, 10), group("t1", 30)], [(0, 10, 10, DONE), (30, None, 70, RUNNING)]),
    ("group_ownership", {"pause_in": ["waiting_customer"]}, [created(group="t1"), status("waiting_customer", 10)], [(0, None, 10, "on_hold")]),
    # somebody has it
    ("time_to_assign", {}, [created(), assigned("a1", 12), assigned(None, 20)], [(0, 12, 12, DONE)]),
    ("time_to_assign", {}, [created(assignee="a1")], []),
    ("acknowledgement", {}, [created(), note], [(0, 10, 10, DONE)]),
    ("acknowledgement", {}, [created(), question(5), status("in_progress", 7)], [(0, 7, 7, DONE)]),
    ("acknowledgement", {}, [created(), bot, assigned("a1", 12)], [(0, 12, 12, DONE)]),
]


@pytest.mark.parametrize(("metric", "special", "facts", "wanted"), TABLE, ids=[f"{n}-{row[0]}" for n, row in enumerate(TABLE)])
def test_table(metric: str, special: dict[str, Any], facts: list[Fact], wanted: list[Cycle]) -> None:
    books = [book(terms(hours=ALWAYS, targets={metric: "10h"}, metrics={metric: special}))]
    found = cycles(evaluate(facts, books, at(100)), metric)
    assert [((c.started_at - at(0)) / MINUTE, c.stopped_at and (c.stopped_at - at(0)) / MINUTE, c.elapsed / MINUTE, c.phase) for c in found] == wanted


def test_every_metric_stands_in_the_table() -> None:
    assert {row[0] for row in TABLE} == set(METRICS)
    for name, make in METRICS.items():
        metric = make(MetricOptions())
        assert (metric.name, metric.title) == (name, name.replace("_", " ").capitalize())


def test_a_cycle_of_ownership_belongs_to_its_group() -> None:
    books = [book(terms(hours=ALWAYS, targets={"group_ownership": "1h"}))]
    found = cycles(evaluate([created(group="t1"), group("t2", 30)], books, at(100)), "group_ownership")
    assert [(c.owner, c.facets.get("group")) for c in found] == [("t1", "t1"), ("t2", None)]


def test_a_stopped_cycle_is_provisional_until_it_settles() -> None:
    books = [book(terms(hours=ALWAYS, targets={"resolution": "1h"}))]
    facts = [created(), status("resolved", 30)]
    (provisional,) = evaluate(facts, books, at(30) + 4 * DAY - 1).clocks
    (settled,) = evaluate(facts, books, at(30) + 4 * DAY).clocks
    assert (provisional.phase, settled.phase, settled.finished_at) == ("stopped", DONE, at(30) + 4 * DAY)
    # a reopen after it has settled is a new cycle
    assert [c.phase for c in evaluate([*facts, status("open", 30 + 5 * 1440)], books, at(30) + 6 * DAY).clocks] == [DONE, RUNNING]


# --- an admin's own --------------------------------------------------------------------------------------------------
VENDOR = {
    "title": "Vendor wait",
    "start": {"field": "status", "is": "waiting_internal"},
    "stop": {"field": "status", "is_not": "waiting_internal"},
    "reopens": "new_cycle",
}


def test_an_own_metric_runs_like_any_other() -> None:
    books = [book(terms(hours=ALWAYS, targets={"vendor_wait": "1h"}, metrics={"vendor_wait": VENDOR}))]
    facts = [created(), status("waiting_internal", 10), status("open", 30), status("waiting_internal", 40)]
    found = evaluate(facts, books, at(100)).clocks
    assert [(c.title, c.cycle, c.elapsed // MINUTE, c.phase) for c in found] == [("Vendor wait", 1, 20, DONE), ("Vendor wait", 2, 60, RUNNING)]
    assert [c.passed for c in found] == [{}, {"warning": at(88), "critical": at(97)}]


def test_an_own_metric_goes_on_when_its_reopen_holds() -> None:
    own = {
        "start": {"field": "event", "is": "ticket.created"},
        "stop": {"field": "event", "is": "note.internal"},
        "reopen": {"field": "event", "is": "reply.public"},
        "reopens": "continue",
    }
    books = [book(terms(hours=ALWAYS, targets={"triage": "1h"}, metrics={"triage": own}))]
    facts = [created(), note, status("in_progress", 15), question(30)]
    assert [(c.phase, c.elapsed // MINUTE) for c in evaluate(facts, books, at(20)).clocks] == [("stopped", 10)]
    assert [(c.phase, c.elapsed // MINUTE) for c in evaluate(facts, books, at(50)).clocks] == [(RUNNING, 30)]


def test_an_own_metric_paused_by_who_acts() -> None:
    own = {
        "start": {"field": "event", "is": "ticket.created"},
        "stop": {"field": "status", "is": "resolved"},
        "pause": {"field": "assignee", "is_set": False},
    }
    books = [book(terms(hours=ALWAYS, targets={"hands_on": "1h"}, metrics={"hands_on": own}))]
    (clock,) = evaluate([created(), assigned("a1", 30)], books, at(50)).clocks
    assert (clock.phase, clock.elapsed // MINUTE) == (RUNNING, 20)


def test_an_own_metric_starts_another_cycle_where_its_reopen_holds() -> None:
    own = {
        "start": {"field": "event", "is": "ticket.created"},
        "stop": {"field": "event", "is": "note.internal"},
        "reopen": {"field": "event", "is": "reply.public"},
        "reopens": "new_cycle",
    }
    books = [book(terms(hours=ALWAYS, targets={"triage": "1h"}, metrics={"triage": own}))]
    found = evaluate([created(), note, question(30)], books, at(50)).clocks
    assert [(c.cycle, c.phase, c.elapsed // MINUTE) for c in found] == [(1, DONE, 10), (2, RUNNING, 20)]
