"""Policy definitions: what is understood, what is refused with the field named, what is said though it works."""

from typing import Any

import pytest

from sla_plugin.engine.durations import DAY, HOUR, MINUTE
from sla_plugin.engine.metrics.definitions import METRICS, MetricOptions
from sla_plugin.engine.metrics.waking import waking
from sla_plugin.engine.policies import Policy, Target
from sla_plugin.engine.possible import can_hold
from sla_plugin.errors import InvalidDefinition

PLAIN: dict[str, Any] = {"name": "Gold", "targets": {"resolution": "8h"}}
STARTS = {"field": "event", "is": "ticket.created"}
STOPS = {"field": "status", "is": "resolved"}


def policy(**definition: Any) -> Policy:
    return Policy.from_definition({**PLAIN, **definition}, "policy")


def test_the_defaults() -> None:
    plain = policy()
    assert (plain.active, plain.default, plain.position, plain.calendar, plain.warning, plain.critical) == (True, False, 100, "24x7", 80, 95)
    assert (plain.on_change, plain.on_breach, plain.description) == ("keep", None, "")
    assert plain.metrics["resolution"].hold is not None
    assert plain.metrics["resolution"].hold.sentence() == "status is waiting_customer"
    assert plain.target("resolution", "P3") == Target(8 * HOUR, True, 8 * HOUR * 80 // 100, 8 * HOUR * 95 // 100)
    assert plain.target("first_response", "P3") is None


@pytest.mark.parametrize(
    ("targets", "metric", "priority", "amount", "business"),
    [
        ({"resolution": {"P1": "4h", "*": "8h"}}, "resolution", "P1", 4 * HOUR, True),
        ({"resolution": {"P1": "4h", "*": "8h"}}, "resolution", "P2", 8 * HOUR, True),
        ({"resolution": {"urgent": "4h", "high": None}}, "resolution", "P0", 4 * HOUR, True),
        ({"resolution": {"high": {"target": "2d", "counts": "calendar"}}}, "resolution", "P1", 2 * DAY, False),
        ({"agent_work": {"target": "90m"}}, "agent_work", "P1", 90 * MINUTE, True),
    ],
)
def test_targets(targets: dict[str, Any], metric: str, priority: str, amount: int, business: bool) -> None:
    found = policy(targets=targets).target(metric, priority)
    assert found is not None
    assert (found.amount, found.business) == (amount, business)


def test_what_is_said_of_resolution_is_said_of_no_other() -> None:
    some = policy(
        targets={"resolution": "8h", "agent_work": "8h", "pausable_update": "8h"}, resolution={"starts": "assignment", "stops": "closed"}, pause_in=[]
    )
    assert some.metrics["agent_work"] == METRICS["agent_work"](MetricOptions())
    assert some.metrics["resolution"] == METRICS["resolution"](MetricOptions(pause_in=(), starts="assignment", stops="closed"))
    assert some.metrics["pausable_update"] == METRICS["pausable_update"](MetricOptions(pause_in=()))


def test_thresholds_per_metric() -> None:
    some = policy(targets={"resolution": "100s", "first_response": "100s"}, warning=50, metrics={"first_response": {"warning": 10, "critical": 20}})
    found = {metric: some.target(metric, "P1") for metric in ("resolution", "first_response")}
    assert {metric: (t.warning, t.critical) for metric, t in found.items() if t} == {
        "resolution": (50 * 10**6, 95 * 10**6),
        "first_response": (10 * 10**6, 20 * 10**6),
    }


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "policy.name", "name"),
    ({"colour": "red"}, "policy.colour", "unknown"),
    ({"position": "first"}, "policy.position", "whole number"),
    ({"active": "yes"}, "policy.active", "neither true nor false"),
    ({"warning": 0}, "policy.warning", "1 to 99"),
    ({"critical": 100}, "policy.critical", "1 to 99"),
    ({"warning": 95}, "policy.warning", "not before critical"),
    ({"on_change": "forget"}, "policy.on_change", "keep, restart, from_now"),
    ({"on_breach": "shout"}, "policy.on_breach", "list of actions"),
    ({"pause_in": "open"}, "policy.pause_in", "list of statuses"),
    ({"pause_in": ["asleep"]}, "policy.pause_in", "asleep"),
    ({"pause_in": ["resolved"]}, "policy.pause_in", "cannot pause"),
    ({"resolution": {"starts": "someday"}}, "policy.resolution.starts", "creation, assignment"),
    ({"resolution": {"stops": "never"}}, "policy.resolution.stops", "resolved, closed"),
    ({"resolution": {"ends": "x"}}, "policy.resolution", "starts"),
    ({"targets": {}}, "policy.targets", "at least one"),
    ({"targets": {"happiness": "1h"}}, "policy.targets.happiness", "unknown metric"),
    ({"targets": {"resolution": {"P9": "1h"}}}, "policy.targets.resolution.P9", "unknown priority"),
    ({"targets": {"resolution": {"P1": None}}}, "policy.targets.resolution", "no priority"),
    ({"targets": {"resolution": "0h"}}, "policy.targets.resolution", "zero"),
    ({"targets": {"resolution": "-8h"}}, "policy.targets.resolution", "negative"),
    ({"targets": {"resolution": "200000h"}}, "policy.targets.resolution", "longer than ten years"),
    ({"targets": {"resolution": 8}}, "policy.targets.resolution", "no unit"),
    ({"targets": {"resolution": {"target": "8h", "counts": "sheep"}}}, "policy.targets.resolution.counts", "business, calendar"),
    ({"targets": {"resolution": {"target": "8h", "per": "day"}}}, "policy.targets.resolution.per", "unknown"),
    ({"applies_to": {"field": "colour", "is": "red"}}, "policy.applies_to.field", "colour"),
    ({"metrics": {"resolution": "fast"}}, "policy.metrics.resolution", "mapping"),
    ({"metrics": {"resolution": {"speed": 1}}}, "policy.metrics.resolution.speed", "unknown"),
    ({"metrics": {"resolution": {"reopens": "often"}}}, "policy.metrics.resolution.reopens", "never, continue, new_cycle"),
    ({"metrics": {"resolution": {"pause_in": ["closed"]}}}, "policy.metrics.resolution.pause_in", "cannot pause"),
    ({"metrics": {"first_response": {"bots": "some"}}}, "policy.metrics.first_response.bots", "neither"),
    ({"metrics": {"own": {"start": STARTS}}}, "policy.metrics.own.stop", "never stops"),
    ({"metrics": {"own": {"stop": STOPS}}}, "policy.metrics.own.start", "never starts"),
    ({"metrics": {"Own!": {"start": STARTS, "stop": STOPS}}}, "policy.metrics.Own!", "no name"),
    ({"metrics": {"own": {"start": STARTS, "stop": STOPS, "ends": STOPS}}}, "policy.metrics.own.ends", "unknown"),
    ({"metrics": {"own": {"start": {"field": "event", "is": "ticket.create"}, "stop": STOPS}}}, "policy.metrics.own.start", "can never hold"),
    ({"metrics": {"own": {"start": STARTS, "stop": {"field": "status", "is": "solved"}}}}, "policy.metrics.own.stop", "can never hold"),
    ({"metrics": {"own": {"start": STOPS, "stop": STOPS}}}, "policy.metrics.own.start", "never starts"),
    ({"metrics": {"own": {"start": STARTS, "stop": {"field": "weather", "is": "fine"}}}}, "policy.metrics.own.stop.field", "weather"),
    ({"metrics": {"own": {"start": STARTS, "stop": STOPS, "reopens": "often"}}}, "policy.metrics.own.reopens", "never, continue"),
    (
        {"metrics": {"own": {"start": STARTS, "stop": {"field": "event", "is": "note.internal"}, "reopens": "continue"}}},
        "policy.metrics.own.reopen",
        "a moment",
    ),
    ({"tiers": "L1"}, "policy.tiers", "a list"),
    ({"tiers": [{"name": "L1", "groups": ["a"]}]}, "policy.tiers[0]", "promise"),
    ({"tiers": [{"name": "L1", "groups": [], "response": "1h"}]}, "policy.tiers[0].groups", "at least one"),
    ({"tiers": [{"name": "L 1", "groups": ["a"], "response": "1h"}]}, "policy.tiers[0].name", "no name"),
    ({"tiers": [{"name": "L1", "groups": ["a"], "response": "0h"}]}, "policy.tiers.l1_response", "zero"),
    ({"tiers": [{"name": n, "groups": ["a"], "response": "1h"} for n in ("L1", "L2")]}, "policy.tiers[1].groups", "belongs to L1"),
    ({"tiers": [{"name": "L1", "groups": [g], "response": "1h"} for g in "ab"]}, "policy.tiers[1].name", "twice"),
]


@pytest.mark.parametrize(("change", "field", "problem"), REFUSED, ids=[f"{n}-{row[1]}" for n, row in enumerate(REFUSED)])
def test_refused(change: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InvalidDefinition) as refusal:
        policy(**change)
    assert refusal.value.field == field
    assert problem in refusal.value.problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"resolution": {"starts": "assignment"}}, ["unassigned ticket escapes"]),
        ({"resolution": {"starts": "assignment"}, "targets": {"resolution": "8h", "time_to_assign": "1h"}}, []),
        ({"applies_to": {"all": [{"field": "priority", "is": "P1"}, {"field": "priority", "is": "P2"}]}}, ["can never match"]),
        ({"applies_to": {"field": "status", "is": "solved"}}, ["can never match: status is solved"]),
    ],
    ids=str,
)
def test_warnings(change: dict[str, Any], words: list[str]) -> None:
    found = policy(**change).warnings()
    assert len(found) == len(words)
    assert all(word in warning for word, warning in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("definition", "possible"),
    [
        (None, True),
        ({"field": "priority", "is": "p1"}, True),
        ({"field": "priority", "is": "P7"}, False),
        ({"not": {"field": "priority", "in": ["P0", "P1", "P2", "P3"]}}, False),
        ({"all": [{"field": "subject", "is": "a"}, {"field": "subject", "is": "b"}]}, False),
        ({"all": [{"field": "subject", "contains": "a"}, {"field": "subject", "contains": "b"}]}, True),
        ({"all": [{"field": "tags", "contains": "a"}, {"field": "tags", "contains": "b"}, {"field": "tags", "not_contains": "c"}]}, True),
        ({"all": [{"field": "custom.1", "at_least": 5}, {"field": "custom.1", "at_most": 4}]}, False),
        ({"all": [{"field": "custom.1", "at_least": 5}, {"field": "custom.1", "at_most": 5}]}, True),
        ({"all": [{"field": "type", "is_set": True}, {"field": "type", "is_set": False}]}, False),
        ({"all": [{"field": "type", "is_not": "a"}, {"field": "type", "is_set": True}]}, True),
        ({"all": [{"field": "tags", "contains": str(n)} for n in range(12)]}, True),
        ({"any": [{"field": "event", "is": "nothing"}, {"field": "actor_role", "is": "agent"}]}, True),
    ],
    ids=str,
)
def test_what_can_hold(definition: Any, possible: bool) -> None:
    assert can_hold(definition) is possible


@pytest.mark.parametrize(
    ("definition", "kinds", "fields", "always"),
    [
        (None, [], [], False),
        ({"field": "event", "in": ["Reply.public", "note.internal"]}, ["note.internal", "reply.public"], [], False),
        ({"all": [{"field": "event", "is": "reply.public"}, {"field": "status", "is": "open"}]}, ["reply.public"], [], False),
        ({"any": [{"field": "event", "is": "reply.public"}, {"field": "status", "is": "open"}]}, ["reply.public"], ["status"], False),
        ({"field": "event", "is_not": "reply.public"}, [], [], True),
        ({"field": "reopened", "is": True}, [], ["status"], False),
        ({"field": "moved", "is": "group"}, [], ["group"], False),
        *(({"none": [{"field": name, "is": True}]}, [], [name], True) for name in ("actor_role", "actor_is_requester", "opening", "public")),
    ],
    ids=str,
)
def test_what_wakes_a_condition(definition: Any, kinds: list[str], fields: list[str], always: bool) -> None:
    found = waking([definition])
    assert (sorted(found.kinds), sorted(found.fields), found.always) == (kinds, fields, always)


def test_what_it_promises_in_one_line() -> None:
    assert (
        policy(targets={"first_response": {"P0": "15m", "P1": "24h"}, "resolution": "8h"}).promise().replace("\u00a0", " ")
        == "first response 15 m to 24 h, resolution 8 h"
    )


@pytest.mark.parametrize(
    ("cover", "words"),
    [
        (["24x7", "Acme"], "write 'Acme' alone"),
        (["Acme", "24x7"], "write 'Acme' alone"),
        (["Acme", "Acme"], "write 'Acme' alone"),
        (["Acme", ""], "two that must both be open"),
        (["Acme"], "two that must both be open"),
    ],
)
def test_two_calendars_that_are_one_are_refused(cover: list[str], words: str) -> None:
    with pytest.raises(InvalidDefinition, match=words):
        Policy.from_definition({"name": "P", "calendar": {"cover": cover}, "targets": {"resolution": "1h"}}, "policy")
