"""Changes in mid-flight: priority, policy, calendar, extensions, whose policy it is; what is recorded and what is true."""

from typing import Any

import pytest

from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.durations import HOUR, MINUTE
from sla_plugin.engine.evaluate import Clock, evaluate
from sla_plugin.engine.facts import Fact, translate
from sla_plugin.engine.ledger import ledger, sentence
from sla_plugin.engine.policies import Book, Terms
from tests.engine.histories import OFFICE, SHOP, at, book, created, fact, status, terms

TARGETS = {"resolution": {"P0": "2h", "P1": "8h"}}


def urgent(minute: float) -> Fact:
    return fact("priority.changed", minute, priority="P0")


def one(facts: list[Fact], books: list[Book], minute: float) -> Clock:
    (clock,) = evaluate(facts, books, at(minute)).clocks
    return clock


def minute_of(instant: int | None) -> float | None:
    return None if instant is None else (instant - at(0)) / MINUTE


@pytest.mark.parametrize(
    ("mode", "due", "recorded", "elapsed", "target", "counted"),
    [
        ("keep", 120, 180, 200, 120, [180, 20]),  # the true deadline is kept beside the instant at which the breach was recorded
        ("restart", 300, None, 20, 120, [0, 20]),
        ("from_now", 300, None, 200, 300, [180, 20]),
    ],
)
def test_a_tighter_priority(mode: str, due: int, recorded: int | None, elapsed: int, target: int, counted: list[int]) -> None:
    clock = one([created(), urgent(180)], [book(terms(hours=ALWAYS, targets=TARGETS, on_change=mode))], 200)
    assert (minute_of(clock.deadline_at), minute_of(clock.breached_at), clock.elapsed // MINUTE) == (due, recorded, elapsed)
    assert clock.target == target * MINUTE
    assert [row.counted // MINUTE for row in ledger(clock)] == counted


@pytest.mark.parametrize(("mode", "due"), [("keep", 120), ("restart", 220), ("from_now", 220)])
def test_the_next_policy_says_what_happens(mode: str, due: int) -> None:
    books = [
        book(terms(hours=ALWAYS, targets={"resolution": "8h"})),
        book(terms(2, ALWAYS, targets={"resolution": "2h"}, on_change=mode), since=at(100), revision=2),
    ]
    assert minute_of(one([created()], books, 110).deadline_at) == due


@pytest.mark.parametrize("mode", ["keep", "restart", "from_now"])
def test_a_new_version_that_promises_the_same_changes_nothing(mode: str) -> None:
    books = [
        book(terms(hours=ALWAYS, targets=TARGETS, on_change=mode)),
        book(terms(2, ALWAYS, targets=TARGETS, on_change=mode, description="in other words"), since=at(100), revision=2),
    ]
    clock = one([created()], books, 110)
    assert (minute_of(clock.deadline_at), clock.elapsed // MINUTE, clock.terms and clock.terms.policy_version) == (480, 110, 2)


@pytest.mark.parametrize("mode", ["keep", "restart", "from_now"])
def test_finished_cycles_never_change(mode: str) -> None:
    facts = [created(), status("resolved", 60), status("closed", 61)]
    first = book(terms(targets={"resolution": "8h"}))
    later = book(terms(2, targets={"resolution": "1m"}, on_change=mode), since=at(90), revision=2)
    assert one(facts, [first, later], 100) == one(facts, [first], 100)


def test_a_provisional_cycle_keeps_its_terms_and_takes_the_new_ones_when_reopened() -> None:
    books = [book(terms(hours=ALWAYS, targets={"resolution": "8h"})), book(terms(2, ALWAYS, targets={"resolution": "1h"}), since=at(100), revision=2)]
    facts = [created(), status("resolved", 90), status("open", 200)]
    assert (one(facts, books, 150).target, one(facts, books, 150).breached_at) == (8 * HOUR, None)
    assert (one(facts, books, 201).target, minute_of(one(facts, books, 201).deadline_at), minute_of(one(facts, books, 201).breached_at)) == (HOUR, 60, 200)


def test_calendars_count_piecewise_by_effective_date() -> None:
    books = [book(terms(hours=OFFICE, targets={"resolution": "100h"})), book(terms(2, SHOP, targets={"resolution": "100h"}), since=at(600), revision=2)]
    clock = one([created()], books, 3000)
    assert clock.elapsed == OFFICE.between(at(0), at(600)) + SHOP.between(at(600), at(3000))
    assert [(s.terms and s.terms.calendar_id, s.counted) for s in clock.spans] == [(1, OFFICE.between(at(0), at(600))), (2, SHOP.between(at(600), at(3000)))]


@pytest.mark.parametrize(
    ("mode", "elapsed", "states"), [("keep", 100, ["running"] * 2), ("restart", 40, ["unpromised", "running"]), ("from_now", 40, ["unpromised", "running"])]
)
def test_a_policy_that_comes_late(mode: str, elapsed: int, states: list[str]) -> None:
    vip = {"field": "tags", "contains": "vip"}
    facts = [created(tags=()), fact("tags.changed", 60, tags=("vip",))]
    clock = one(facts, [book(terms(hours=ALWAYS, targets={"resolution": "1h"}, applies_to=vip, on_change=mode))], 100)
    assert clock.elapsed == elapsed * MINUTE
    assert [row.state for row in ledger(clock)] == states
    # its breach is recorded when it came, the true deadline kept
    assert (minute_of(clock.breached_at), minute_of(clock.deadline_at)) == ((60, 60) if mode == "keep" else (None, 120))


def test_a_policy_that_stops_matching_cancels_and_may_come_back() -> None:
    vip = {"field": "tags", "contains": "vip"}
    facts = [created(tags=("vip",)), fact("tags.changed", 30, tags=()), fact("tags.changed", 50, tags=("vip",))]
    books = [book(terms(hours=ALWAYS, targets={"resolution": "1h"}, applies_to=vip))]
    assert [(c.phase, c.deadline_at) for c in evaluate(facts, books, at(40)).clocks] == [("cancelled", None)]
    assert (one(facts, books, 55).phase, minute_of(one(facts, books, 55).deadline_at)) == ("running", 60)


# --- extensions ------------------------------------------------------------------------------------------------------
def extension(minute: float, amount: int, metric: str | None = None) -> Fact:
    return fact("deadline.extended", minute, extends=(metric, amount), actor_id="boss")


@pytest.mark.parametrize(
    ("granted", "due", "breached"),
    [
        ([], 120, 120),
        ([(30, 60, None)], 180, None),
        ([(30, 60, "resolution"), (40, 10, "resolution")], 190, None),
        ([(30, 60, "first_response")], 120, 120),  # another clock's
        ([(150, 60, None)], 180, 120),  # too late: the breach that happened stays
    ],
)
def test_an_extension_moves_the_deadline_from_then_on(granted: list[tuple[int, int, str | None]], due: int, breached: int | None) -> None:
    facts = [created(), *(extension(minute, amount * MINUTE, metric) for minute, amount, metric in granted)]
    clock = one(facts, [book(terms(hours=ALWAYS, targets={"resolution": "2h"}))], 160)
    assert (minute_of(clock.deadline_at), minute_of(clock.breached_at)) == (due, breached)
    assert clock.allowance == sum(amount for minute, amount, metric in granted if metric != "first_response") * MINUTE


def withdrawal(minute: float, granted: Fact) -> Fact:
    return fact("extension.withdrawn", minute, withdraws=granted.key, actor_id="boss")


@pytest.mark.parametrize(
    ("back", "due", "breached"),
    [
        (40, 120, 120),  # in time: as if it had never been
        (150, 120, 150),  # too late: the breach is recorded when it came, never back-dated
        (200, 120, 180),  # after the extended deadline: that breach stays when it was
    ],
)
def test_an_extension_taken_back_counts_no_more_from_then_on(back: float, due: int, breached: int) -> None:
    granted = extension(30, 60 * MINUTE)
    facts = [created(), granted, withdrawal(back, granted), withdrawal(back + 1, granted)]  # the second changes nothing
    books = [book(terms(hours=ALWAYS, targets={"resolution": "2h"}))]
    assert one(facts, books, back - 1).grants == {granted.key: HOUR}
    clock = one(facts, books, 220)
    assert (minute_of(clock.deadline_at), minute_of(clock.breached_at)) == (due, breached)
    assert (clock.allowance, clock.granted, clock.grants) == (0, 0, {})
    assert sum(row.counted for row in ledger(clock)) == clock.elapsed


def test_only_the_extension_that_is_named_is_taken_back() -> None:
    first, second = extension(10, 60 * MINUTE, "resolution"), extension(20, 30 * MINUTE, "resolution")
    clock = one([created(), first, second, withdrawal(30, first)], [book(terms(hours=ALWAYS, targets={"resolution": "2h"}))], 40)
    assert (clock.grants, minute_of(clock.deadline_at)) == ({second.key: 30 * MINUTE}, 150)
    assert "Of the target 30 m were granted by hand." in sentence(clock, "Resolution").replace("\u00a0", " ")


@pytest.mark.parametrize(("mode", "granted", "due"), [("keep", HOUR, 180), ("restart", 0, 180), ("from_now", 0, 180)])
def test_a_promise_that_counts_anew_holds_no_old_extension(mode: str, granted: int, due: int) -> None:
    given = extension(30, HOUR)
    facts = [created(), given, fact("priority.changed", 60, priority="P0"), withdrawal(300, given)]
    clock = one(facts, [book(terms(hours=ALWAYS, on_change=mode, targets={"resolution": {"P1": "4h", "P0": "2h"}}))], 70)
    assert (clock.granted, minute_of(clock.deadline_at)) == (granted, due)


def test_a_stopped_clock_is_neither_extended_nor_taken_back() -> None:
    given = extension(10, HOUR)
    facts = [created(), given, status("resolved", 20), extension(30, HOUR), withdrawal(40, given), status("open", 50)]
    clock = one(facts, [book(terms(hours=ALWAYS, targets={"resolution": "2h"}))], 60)
    assert (clock.granted, minute_of(clock.deadline_at)) == (HOUR, 210)


def test_thresholds_move_with_an_extension() -> None:
    clock = one([created(), extension(10, HOUR)], [book(terms(hours=ALWAYS, targets={"resolution": "100m"}))], 20)
    assert (minute_of(clock.warning_at), minute_of(clock.critical_at)) == (140, 155)


def told(kind: str, **values: Any) -> Fact:
    """An event row as the store keeps it."""
    words = {"status": {}, "priority": {}, "unset_priority": "P2"}
    return translate(
        key="k", kind=kind, at=at(10), sequence=None, actor_id="boss", actor_role="agent", public=None, own=False, data={"values": values}, **words
    )


@pytest.mark.parametrize(
    ("values", "extends"),
    [
        ({"by": 60, "metric": "resolution", "reason": "parts"}, ("resolution", 60)),
        ({"by": 60, "reason": "parts"}, (None, 60)),
        ({"by": 0}, None),
        ({"by": -5}, None),
        ({"by": "1h"}, None),
        ({"by": True}, None),
        ({}, None),
    ],
    ids=str,
)
def test_an_extension_as_an_event(values: dict[str, Any], extends: tuple[str | None, int] | None) -> None:
    extended = told("deadline.extended", **values)
    assert (extended.extends, extended.sets) == (extends, {})


# --- whose policy ----------------------------------------------------------------------------------------------------
def named(policy_id: int, name: str, **definition: Any) -> Terms:
    return terms(policy_id=policy_id, name=name, targets={"resolution": f"{policy_id}h"}, **definition)


GOLD = named(1, "Gold", applies_to={"field": "priority", "is": "P1"})
PLAN = named(2, "Plan", applies_to={"field": "priority", "is": "P3"})
CONTRACT = named(3, "Contract", applies_to={"field": "priority", "is": "P3"})
DEFAULT = named(4, "Default", default=True)


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        ({}, "Gold"),
        ({"priority": "P2"}, "Default"),
        ({"plan_policy": "Plan"}, "Plan"),
        ({"plan_policy": "Plan", "contract_policy": "Contract"}, "Contract"),
        ({"plan_policy": "Plan", "contract_policy": "Contract", "policy": "Default"}, "Default"),
        ({"contract_policy": "Gone", "plan_policy": "Plan"}, "Plan"),
        ({"contract_policy": ""}, "Gold"),
    ],
    ids=str,
)
def test_precedence_and_why(fields: dict[str, Any], chosen: str) -> None:
    everything = book(DEFAULT, CONTRACT, PLAN, GOLD)
    facts = [created(priority=fields.get("priority", "P1")), fact("contract.changed", 1, **{k: v for k, v in fields.items() if k != "priority"})]
    verdict = evaluate(facts, [everything], at(5))
    assert verdict.terms is not None
    assert verdict.terms.policy.name == chosen
    reasons = everything.why(verdict.state)
    assert (reasons[-1]["policy"], [r["matched"] for r in reasons]) == (chosen, [False] * (len(reasons) - 1) + [True])
    assert all(r["because"].startswith("not: ") for r in reasons[:-1])


def test_no_helpdesk_chooses_a_policy_by_a_field_of_that_name() -> None:
    assert told("ticket.updated", policy="Default", plan_policy="Plan", subject="x").sets == {"subject": "x"}
    assert told("policy.chosen", policy="Default", reason="asked for", subject="x").sets == {"policy": "Default"}
    assert told("contract.changed", contract_policy="Contract").sets == {"contract_policy": "Contract"}


# --- tiers -----------------------------------------------------------------------------------------------------------
def test_a_hand_over_starts_the_next_tiers_clocks_while_the_customers_run_on() -> None:
    tiers = [{"name": "L1", "groups": ["desk"], "response": "15m", "ownership": "1h"}, {"name": "L2", "groups": ["experts"], "ownership": "4h"}]
    books = [book(terms(hours=ALWAYS, targets={"resolution": "8h"}, tiers=tiers))]
    facts = [created(group="desk"), fact("note.internal", 10, actor_role="agent", actor_id="a1"), status("in_progress", 12)]
    facts += [fact("group.changed", 30, group="experts"), fact("group.changed", 50, group="desk")]
    found = {(c.metric, c.cycle): (c.phase, c.elapsed // MINUTE, c.owner) for c in evaluate(facts, books, at(60)).clocks}
    assert found == {
        ("resolution", 1): ("running", 60, None),
        ("l1_response", 1): ("finished", 10, "desk"),
        ("l1_ownership", 1): ("finished", 30, "desk"),
        ("l2_ownership", 1): ("finished", 20, "experts"),
        ("l1_response", 2): ("running", 10, "desk"),
        ("l1_ownership", 2): ("running", 10, "desk"),
    }


def test_events_by_hand_as_the_store_keeps_them() -> None:
    assert told("extension.withdrawn", extension="hand:1", reason="a mistake").withdraws == "hand:1"
    assert told("extension.withdrawn", extension="hand:1", reason="a mistake").sets == {}
    assert told("extension.withdrawn", reason="which one?").withdraws is None
    assert told("ticket.updated", extension="hand:1").withdraws is None
    refused = told("override.refused", asked="deadline.extended", metric="resolution", by=HOUR, extension="hand:1", policy="Gold", status="closed")
    assert (refused.sets, refused.extends, refused.withdraws, refused.gone) == ({}, None, None, None)
