"""Conditions over the time at which a ticket was created."""

from typing import Any

import pytest

from sla_plugin.engine.business_time import BusinessTime, business_time
from sla_plugin.engine.calendars import Calendar
from sla_plugin.engine.conditions import compile_condition
from sla_plugin.engine.evaluate import evaluate
from sla_plugin.engine.instants import instant
from sla_plugin.engine.policies import POLICY_FIELDS, Book, Policy, Terms
from sla_plugin.errors import InvalidDefinition
from tests.engine.histories import created, fact

OFFICE = business_time(
    Calendar.from_definition(
        {"time_zone": "Europe/Berlin", "hours": {d: ["09:00-17:00"] for d in ("mon", "tue", "wed", "thu", "fri")}, "holidays": ["2026-12-25"]}, "office"
    )
)
TOKYO = business_time(Calendar.from_definition({"time_zone": "Asia/Tokyo", "hours": {"sat": ["00:00-24:00"]}}, "tokyo"))


def leaf(field: str, **rest: Any) -> dict[str, Any]:
    return {"field": field, **rest}


def book_of(condition: Any, own: BusinessTime = OFFICE, calendar: str = "Office", revision: int = 1, **calendars: BusinessTime) -> Book:
    asked = Policy.from_definition({"name": "Asked", "calendar": calendar, "applies_to": condition, "targets": {"resolution": "1h"}}, "policy")
    rest = Policy.from_definition({"name": "Rest", "default": True, "targets": {"resolution": "2h"}}, "policy")
    terms = [Terms(1, revision, asked, 1, 1, own), Terms(2, 1, rest, None, None, OFFICE)]
    return Book.of(revision, 0, terms, {"Tokyo": TOKYO, **calendars})


def chosen(condition: Any, at: str) -> str:
    """The policy of a ticket created at an instant in UTC."""
    ticket = created()
    ticket.at = instant(at)
    found = evaluate([ticket], [book_of(condition)], ticket.at + 1).terms
    assert found is not None
    return found.policy.name


@pytest.mark.parametrize(
    ("condition", "at", "holds"),
    [
        (leaf("created_in_hours", **{"is": True}), "2026-11-16T08:00:00Z", True),  # 09:00 in Berlin: an opening instant counts
        (leaf("created_in_hours", **{"is": True}), "2026-11-16T07:59:59Z", False),
        (leaf("created_in_hours", **{"is": True}), "2026-11-16T16:00:00Z", False),  # a closing instant does not
        (leaf("created_in_hours", is_not=True), "2026-11-16T16:00:00Z", True),
        (leaf("created_in_hours", **{"is": False}), "2026-12-25T10:00:00Z", True),
        (leaf("created_in_hours", **{"is": True}, calendar="Tokyo"), "2026-11-20T15:00:00Z", True),  # Saturday has begun in Tokyo
        (leaf("created_on_holiday", **{"is": True}), "2026-12-24T23:00:00Z", True),
        (leaf("created_on_holiday", **{"is": True}), "2026-12-24T22:59:59Z", False),
        (leaf("created_on_holiday", **{"is": True}), "2026-12-25T23:00:00Z", False),
        (leaf("created_on_holiday", **{"is": True}, calendar="Tokyo"), "2026-12-25T10:00:00Z", False),
        (leaf("created_weekday", **{"is": "sat"}), "2026-11-20T22:59:59Z", False),
        (leaf("created_weekday", **{"is": "sat"}), "2026-11-20T23:00:00Z", True),
        (leaf("created_weekday", **{"in": ["sat", "sun"]}, calendar="Tokyo"), "2026-11-20T15:00:00Z", True),
        (leaf("created_hour", at_least=18), "2026-11-16T16:59:59Z", False),
        (leaf("created_hour", at_least=18), "2026-11-16T17:00:00Z", True),
        (leaf("created_hour", at_least=18), "2026-07-16T16:00:00Z", True),  # summer time
        (leaf("created_hour", **{"is": 2}), "2026-10-25T01:30:00Z", True),  # the second 02:30 of the autumn night
        ({"all": [leaf("created_hour", at_most=7), {"not": leaf("created_weekday", **{"is": "mon"})}]}, "2026-11-17T05:00:00Z", True),
    ],
)
def test_a_policy_asks_when_the_ticket_was_created(condition: Any, at: str, holds: bool) -> None:
    assert chosen(condition, at) == ("Asked" if holds else "Rest")


def test_what_is_asked_never_changes_as_time_passes() -> None:
    ticket = created(0)
    book = book_of(leaf("created_in_hours", **{"is": True}))
    for hours in (0, 10, 100, 1000):
        terms = evaluate([ticket, fact("priority.changed", hours * 60, priority="P0")], [book], ticket.at + hours * 3600 * 10**6).terms
        assert terms is not None
        assert terms.policy.name == "Asked"


def test_the_helpdesks_own_creation_counts() -> None:
    late = fact("ticket.updated", 60, created_at=instant("2026-11-15T12:00:00Z"))
    verdict = evaluate([created(0), late], [book_of(leaf("created_in_hours", **{"is": True}))], late.at + 1)
    assert verdict.terms is not None
    assert verdict.terms.policy.name == "Rest"  # it was a Sunday after all


def test_a_creation_that_nobody_told_is_not_set() -> None:
    for value, name in ((True, "Rest"), (False, "Rest")):
        verdict = evaluate([fact("priority.changed", 0, priority="P1")], [book_of(leaf("created_in_hours", **{"is": value}))], instant("2026-11-16T12:00:00Z"))
        assert verdict.terms is not None
        assert verdict.terms.policy.name == name


def test_it_is_explained() -> None:
    book = book_of({"any": [leaf("created_hour", at_least=18), leaf("created_in_hours", **{"is": True}, calendar="Tokyo")]})
    state = {"created_at": instant("2026-11-16T12:00:00Z"), "status": "open", "priority": "P1"}
    assert book.why(state)[0]["because"] == "not: created_hour is 13, not at least 18; created_in_hours of Tokyo is false, not true"
    assert book.terms[0].policy.applies_to.sentence() == "created_hour is at least 18 or created_in_hours of Tokyo is true"


def test_a_calendar_that_moves_the_choice_is_a_change_for_every_ticket() -> None:
    condition = leaf("created_in_hours", **{"is": True}, calendar="Tokyo")
    before = book_of(condition)
    assert book_of(condition).changed_since(before) == frozenset({1, 2})  # other terms, the same choice
    assert book_of(condition, Tokyo=OFFICE).changed_since(before) is None
    own = leaf("created_in_hours", **{"is": True})
    assert book_of(own, own=TOKYO).changed_since(book_of(own)) is None


@pytest.mark.parametrize(
    ("condition", "place", "words"),
    [
        (leaf("created_weekday", **{"is": "saturday"}), "applies_to.is", "'saturday' is not one of mon"),
        (leaf("created_weekday", at_least=3), "applies_to.at_least", "has no meaning for created_weekday"),
        (leaf("created_hour", at_least=24), "applies_to.at_least", "24 is not a whole hour"),
        (leaf("created_hour", **{"in": [1, 1.5]}), "applies_to.in", "1.5 is not a whole hour"),
        (leaf("created_hour", **{"is": True}), "applies_to.is", "True is not a whole hour"),
        (leaf("created_in_hours", **{"is": "yes"}), "applies_to.is", "'yes' is not true or false"),
        (leaf("created_in_hours", **{"is": 1}), "applies_to.is", "1 is not true or false"),
        (leaf("created_in_hours", is_set=True), "applies_to.is_set", "has no meaning"),
        (leaf("created_in_hours", **{"is": True}, calendar=""), "applies_to.calendar", "no name of a calendar"),
        (leaf("created_in_hours", **{"is": True}, calendar=7), "applies_to.calendar", "no name of a calendar"),
        (leaf("priority", **{"is": "P1"}, calendar="Office"), "applies_to.calendar", "is|known"),
        (leaf("created_in_hours", calendar="Office"), "applies_to", "needs exactly one of"),
    ],
)
def test_what_has_no_meaning_is_refused(condition: Any, place: str, words: str) -> None:
    with pytest.raises(InvalidDefinition, match=words) as problem:
        compile_condition(condition, "applies_to", POLICY_FIELDS)
    assert problem.value.field == place


def test_a_policy_without_a_calendar_must_name_one() -> None:
    with pytest.raises(InvalidDefinition, match="by which calendar"):
        book_of(leaf("created_in_hours", **{"is": True}), calendar="24x7")
    assert book_of(leaf("created_in_hours", **{"is": True}, calendar="Tokyo"), calendar="24x7").terms


@pytest.mark.parametrize(
    ("condition", "warned"),
    [
        ({"all": [leaf("created_hour", at_least=18), leaf("created_hour", at_most=8)]}, True),
        ({"all": [leaf("created_hour", at_least=18), leaf("created_hour", at_most=8, calendar="Tokyo")]}, False),
        ({"all": [leaf("created_in_hours", **{"is": True}), leaf("created_in_hours", **{"is": False})]}, True),
        (leaf("created_weekday", **{"is": "sun"}), False),
    ],
)
def test_what_can_never_match_is_said(condition: Any, warned: bool) -> None:
    assert any("can never match" in line for line in book_of(condition).terms[0].policy.warnings()) is warned


def test_a_metric_of_your_own_asks_no_time() -> None:
    start = leaf("created_in_hours", **{"is": True})
    metrics = {"mine": {"start": start, "stop": leaf("status", **{"is": "closed"})}}
    with pytest.raises(InvalidDefinition, match="no field 'created_in_hours'"):
        Policy.from_definition({"name": "P", "calendar": "Office", "targets": {"mine": "1h"}, "metrics": metrics}, "policy")
