"""Support tiers: a response and an ownership clock per tier, beside the customer's."""

from typing import Any

import pytest

from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.durations import HOUR, MINUTE
from sla_plugin.engine.evaluate import evaluate
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.policies import Policy
from sla_plugin.errors import InvalidDefinition
from tests.engine.histories import START, answer, at, book, created, cycles, fact, question, status, terms

TIERS = [
    {"name": "L1", "groups": ["desk", "chat"], "response": "15m", "ownership": {"target": "1h", "counts": "calendar"}},
    {"name": "Experts", "groups": ["experts"], "response": {"P1": "30m", "*": "2h"}},
]
BOOKS = [book(terms(hours=ALWAYS, targets={"resolution": "8h"}, tiers=TIERS))]


def group(name: str | None, minute: float) -> Fact:
    return fact("group.changed", minute, group=name)


def assigned(minute: float, who: str | None = "a1") -> Fact:
    return fact("assignee.changed", minute, assignee=who)


def note(minute: float, role: str = "agent") -> Fact:
    return fact("note.internal", minute, actor_role=role, actor_id="a1", public=False)


@pytest.mark.parametrize(
    ("facts", "response"),
    [
        ([], [(5, None, "running")]),
        ([answer(20)], [(5, 20, "finished")]),
        ([note(20)], [(5, 20, "finished")]),
        ([note(20, "system")], [(5, None, "running")]),
        ([question(20)], [(5, None, "running")]),
        ([fact("reply.public", 20, actor_role="agent", actor_id="c1")], [(5, None, "running")]),  # the requester is an agent
        ([assigned(20)], [(5, 20, "finished")]),
        ([assigned(20, None)], [(5, None, "running")]),
        ([group("experts", 20)], [(5, None, "cancelled")]),
        ([group(None, 20)], [(5, None, "cancelled")]),
        ([status("resolved", 20)], [(5, None, "cancelled")]),
        ([status("closed", 20)], [(5, None, "cancelled")]),
        ([status("cancelled", 20)], [(5, None, "cancelled")]),
        ([status("waiting_customer", 20)], [(5, None, "running")]),
        ([answer(20), group("chat", 30)], [(5, 20, "finished"), (30, None, "running")]),
        ([answer(20), question(30)], [(5, 20, "finished")]),  # another question is no hand-over
    ],
)
def test_the_response_of_a_tier(facts: list[Fact], response: list[tuple[Any, ...]]) -> None:
    found = cycles(evaluate([created(), group("desk", 5), *facts], BOOKS, at(40)), "l1_response")
    assert [((c.started_at - START) // MINUTE, c.stopped_at and (c.stopped_at - START) // MINUTE, c.phase) for c in found] == [
        (begin, None if phase == "cancelled" else end, phase) for begin, end, phase in response
    ]
    assert {c.owner for c in found} <= {"desk", "chat"}
    assert {c.target for c in found} == {15 * MINUTE}


def test_a_hand_over_to_a_resolved_ticket_starts_nothing() -> None:
    assert cycles(evaluate([created(status="resolved"), group("desk", 5)], BOOKS, at(40)), "l1_response") == []


@pytest.mark.parametrize(
    ("facts", "ownership"),
    [
        ([], [(5, None)]),
        ([answer(10), status("waiting_customer", 20)], [(5, None)]),
        ([group("chat", 20)], [(5, None)]),  # the tier has it still
        ([group("experts", 20)], [(5, 20)]),
        ([group("experts", 20), group("desk", 30)], [(5, 20), (30, None)]),
        ([status("resolved", 20)], [(5, 20)]),
        ([status("resolved", 20), status("open", 30)], [(5, 20), (30, None)]),
        ([status("closed", 20)], [(5, 20)]),
    ],
)
def test_the_ownership_of_a_tier(facts: list[Fact], ownership: list[tuple[Any, ...]]) -> None:
    found = cycles(evaluate([created(), group("desk", 5), *facts], BOOKS, at(40)), "l1_ownership")
    assert [((c.started_at - START) // MINUTE, c.stopped_at and (c.stopped_at - START) // MINUTE) for c in found] == ownership
    assert (found[0].owner, found[0].target, found[0].business, found[0].title) == ("desk", HOUR, False, "L1 ownership")


def test_a_tier_promises_by_priority_and_what_it_does_not_promise_has_no_clock() -> None:
    verdict = evaluate([created(priority="P1"), group("experts", 5)], BOOKS, at(10))
    assert {c.metric: c.target for c in verdict.clocks} == {"resolution": 8 * HOUR, "experts_response": 30 * MINUTE}
    assert next(c for c in verdict.clocks if c.metric == "experts_response").title == "Experts response"
    verdict = evaluate([created(priority="P3"), group("experts", 5)], BOOKS, at(10))
    assert {c.metric: c.target for c in verdict.clocks} == {"resolution": 8 * HOUR, "experts_response": 2 * HOUR}


def tier(**told: Any) -> dict[str, Any]:
    return {"name": "L1", "groups": ["desk"], "response": "15m", **told}


@pytest.mark.parametrize(
    ("tiers", "place", "words"),
    [
        ({"name": "L1"}, "policy.tiers", "a list"),
        (["L1"], "policy.tiers[0]", "name, groups, response, ownership"),
        ([tier(target="1h")], "policy.tiers[0]", "name, groups, response, ownership"),
        ([tier(name="")], "policy.tiers[0].name", "no name for a tier"),
        ([tier(name="1st")], "policy.tiers[0].name", "no name for a tier"),
        ([tier(name="L" * 21)], "policy.tiers[0].name", "at most 20"),
        ([tier(groups="desk")], "policy.tiers[0].groups", "at least one group"),
        ([tier(groups=[])], "policy.tiers[0].groups", "at least one group"),
        ([tier(), tier(name="L2", groups=["DESK"])], "policy.tiers[1].groups", "'DESK' belongs to L1 already"),
        ([tier(), tier(groups=["other"])], "policy.tiers[1].name", "'L1' stands twice"),
        ([{"name": "L1", "groups": ["desk"]}], "policy.tiers[0]", "promise a response or an ownership"),
    ],
)
def test_tiers_that_cannot_work_are_refused(tiers: Any, place: str, words: str) -> None:
    with pytest.raises(InvalidDefinition, match=words) as problem:
        Policy.from_definition({"name": "P", "targets": {"resolution": "1h"}, "tiers": tiers}, "policy")
    assert problem.value.field == place


def test_a_name_of_twenty_letters_is_one() -> None:
    policy = Policy.from_definition({"name": "P", "targets": {"resolution": "1h"}, "tiers": [tier(name="L" * 20), tier(name="X", groups=["y"])]}, "policy")
    assert set(policy.targets) == {"resolution", "l" * 20 + "_response", "x_response"}
