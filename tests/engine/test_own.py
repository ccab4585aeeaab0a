"""Metrics of an admin's own: what they may ask, what they are called, when they are cancelled, held and opened again."""

from typing import Any

import pytest

from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.durations import MINUTE
from sla_plugin.engine.evaluate import evaluate
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.policies import Policy
from sla_plugin.errors import InvalidDefinition
from tests.engine.histories import START, at, book, created, cycles, fact, status, terms

START_ON = {"field": "group", "is": "legal"}
STOP_ON = {"field": "group", "is_not": "legal"}


def metric(**told: Any) -> dict[str, Any]:
    return {"name": "P", "targets": {"mine": "1h"}, "metrics": {"mine": {"start": START_ON, "stop": STOP_ON, **told}}}


def policy(**told: Any) -> Policy:
    return Policy.from_definition(metric(**told), "policy")


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "event", "is": "rating.given"},
        {"field": "actor_role", "is": "customer"},
        {"field": "actor_is_requester", "is": True},
        {"field": "opening", "is": True},
        {"field": "public", "is": False},
        {"field": "reopened", "is": True},
        {"field": "moved", "is": "priority"},
        {"field": "custom.7", "is": "x"},
        *({"field": name, "is": "P1" if name == "priority" else "open"} for name in ("status", "priority", "type", "category", "channel", "assignee")),
        *({"field": name, "is": "x"} for name in ("group", "tags", "requester", "organization", "subject")),
    ],
    ids=lambda condition: condition["field"],
)
def test_what_it_may_ask(condition: dict[str, Any]) -> None:
    assert policy(pause=condition).metrics["mine"].hold is not None
    assert policy(cancel=condition).metrics["mine"].cancel.definition == condition
    assert policy(reopen=condition, reopens="continue").metrics["mine"].reopen.definition == condition


@pytest.mark.parametrize(
    ("told", "place", "words"),
    [
        ({"name": "x"}, "name", "a metric of your own has title, start, stop, pause, reopen, cancel, reopens, warning, critical"),
        ({"pause": {"field": "vip", "is": True}}, "pause.field", "no field 'vip'"),
        ({"cancel": {"field": "status", "is": "solved"}}, "cancel", "can never hold: status is solved"),
        ({"reopens": "always"}, "reopens", "none of never, continue, new_cycle"),
        ({"stop": {"field": "event", "is": "reply.public"}, "reopens": "continue"}, "reopen", "say when a stopped clock goes on"),
        ({"warning": 0}, "warning", "1 to 99"),
        ({"critical": 50}, "warning", "not before critical"),
        ({"start": STOP_ON, "stop": STOP_ON}, "start", "never starts"),
    ],
)
def test_what_it_may_not(told: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(InvalidDefinition, match=words) as problem:
        policy(**told)
    assert problem.value.field == f"policy.metrics.mine.{place}"


@pytest.mark.parametrize("name", ["Mine", "1st", "my-own", "a" * 41, "", "mine\n"])
def test_names_that_it_may_not_have(name: str) -> None:
    definition = {"name": "P", "targets": {name: "1h"}, "metrics": {name: {"start": START_ON, "stop": STOP_ON}}}
    with pytest.raises(InvalidDefinition, match="is no name for a metric"):
        Policy.from_definition(definition, "policy")


def test_its_title_and_thresholds() -> None:
    assert policy().metrics["mine"].title == "Mine"
    assert policy(title="Legal's turn").metrics["mine"].title == "Legal's turn"
    assert policy(title="x" * 101).metrics["mine"].title == "x" * 100
    named = Policy.from_definition({"name": "P", "targets": {"a_b": "1h"}, "metrics": {"a_b": {"start": START_ON, "stop": STOP_ON}}}, "policy")
    assert named.metrics["a_b"].title == "A b"
    (target,) = policy(warning=50, critical=75).targets["mine"].values()
    assert (target.warning, target.critical) == (30 * MINUTE, 45 * MINUTE)


@pytest.mark.parametrize(
    ("told", "facts", "found"),
    [
        ({}, [], [("running", 40)]),
        ({}, [fact("group.changed", 20, group="desk")], [("finished", 20)]),
        ({"pause": {"field": "status", "is": "waiting_internal"}}, [status("waiting_internal", 10), status("open", 25)], [("running", 25)]),
        ({"cancel": {"field": "priority", "is": "P3"}}, [fact("priority.changed", 15, priority="P3")], [("cancelled", 15)]),
        ({}, [status("cancelled", 15)], [("cancelled", 15)]),  # unless it says otherwise, with the ticket
        ({}, [fact("group.changed", 10, group="desk"), fact("group.changed", 20, group="legal")], [("finished", 10)]),  # once, unless it says otherwise
        ({"reopens": "new_cycle"}, [fact("group.changed", 10, group="desk"), fact("group.changed", 20, group="legal")], [("finished", 10), ("running", 20)]),
        ({"reopens": "continue"}, [fact("group.changed", 10, group="desk"), fact("group.changed", 20, group="legal")], [("running", 30)]),
        (
            {"reopens": "new_cycle", "reopen": {"field": "event", "is": "rating.given"}},
            [fact("group.changed", 10, group="desk"), fact("rating.given", 30)],
            [("finished", 10)],  # what would open it again stops it, too
        ),
        (
            {"stop": {"field": "event", "is": "note.internal"}, "reopens": "continue", "reopen": {"field": "event", "is": "rating.given"}},
            [fact("note.internal", 10), fact("rating.given", 30)],
            [("running", 20)],
        ),
    ],
)
def test_its_life(told: dict[str, Any], facts: list[Fact], found: list[tuple[str, int]]) -> None:
    definition = metric(**told)
    books = [book(terms(hours=ALWAYS, targets=definition["targets"], metrics=definition["metrics"]))]
    clocks = cycles(evaluate([created(group="legal"), *facts], books, at(40)), "mine")
    assert [(c.phase, c.elapsed // MINUTE) for c in clocks] == found
    assert clocks[0].started_at == START
