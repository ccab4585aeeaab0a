"""Facts: how an event row reads in our words."""

from typing import Any

import pytest

from sla_plugin.engine.facts import Fact, translate


def told(kind: str, **data: Any) -> Fact:
    return translate(
        key="k",
        kind=kind,
        at=5,
        sequence=3,
        actor_id="a",
        actor_role="agent",
        public=True,
        own=False,
        data=data,
        status={"new": "open", "solved": "resolved"},
        priority={"high": "P1"},
        unset_priority="P3",
    )


@pytest.mark.parametrize(
    ("kind", "data", "sets"),
    [
        ("status.changed", {"from": "new", "to": "SOLVED "}, {"status": "resolved", "status_word": "SOLVED "}),
        ("priority.changed", {"to": "High"}, {"priority": "P1", "priority_word": "High"}),
        ("priority.changed", {"to": None}, {"priority": "P3", "priority_word": None}),
        ("type.changed", {"to": "incident"}, {"type": "incident"}),
        ("assignee.changed", {"to": "7"}, {"assignee": "7"}),
        ("assignee.changed", {"to": None}, {"assignee": None}),
        ("group.changed", {"to": "desk"}, {"group": "desk"}),
        ("tags.changed", {"to": ["a", "b"]}, {"tags": ("a", "b")}),
        ("subject.changed", {"to": "Hello"}, {"subject": "Hello"}),
        ("requester.changed", {"to": "9"}, {"requester": "9"}),
        ("organization.changed", {"to": "Acme"}, {"organization": "Acme"}),
        ("status.changed", {}, {}),  # nobody said to what
        ("field.changed", {"field": "7", "to": "x"}, {"custom.7": "x"}),
        ("field.changed", {"field": "custom.7", "to": "x"}, {"custom.7": "x"}),
        ("ticket.updated", {"field": "group", "to": "desk"}, {"group": "desk"}),
        ("ticket.updated", {"field": "group"}, {}),
        ("reply.public", {"field": "group", "to": "desk"}, {}),
        ("ticket.updated", {"values": {"group": "desk", "policy": "Gold", "plan_policy": "Gold", "contract_policy": "Gold"}}, {"group": "desk"}),
        ("contract.changed", {"values": {"contract_policy": "Gold"}}, {"contract_policy": "Gold"}),
        ("customer.changed", {"values": {"plan_policy": "Gold"}}, {"plan_policy": "Gold"}),
    ],
)
def test_what_it_sets(kind: str, data: dict[str, Any], sets: dict[str, Any]) -> None:
    assert told(kind, **data).sets == sets


@pytest.mark.parametrize(
    ("kind", "gone"), [("ticket.merged", "merged"), ("ticket.deleted", "deleted"), ("ticket.restored", ""), ("ticket.updated", None), ("status.changed", None)]
)
def test_what_is_gone(kind: str, gone: str | None) -> None:
    assert told(kind).gone == gone


def test_the_rest_of_it() -> None:
    plain = told("reply.public")
    assert (plain.key, plain.kind, plain.at, plain.sequence, plain.actor_id, plain.actor_role, plain.public) == ("k", "reply.public", 5, 3, "a", "agent", True)
    assert (plain.opening, plain.own, plain.history_end, plain.added, plain.removed, plain.seen, plain.seen_at) == (False, False, False, (), (), {}, None)
    assert told("own.write").own
    assert told("reply.public", opening=True).opening
    assert told("history.ended").history_end
    assert told("ticket.updated", history_end=True).history_end
    tags = told("tags.changed", added=["a"], removed=["b"])
    assert (tags.added, tags.removed) == (("a",), ("b",))
    assert told("tags.changed", to=["x"], added=["a"], removed=["b"]).added == ()  # the whole says it better
    assert told("tags.changed", to=["x"], added=["a"], removed=["b"]).removed == ()
    seen = told("ticket.observed", seen={"status": "solved", "policy": "Gold"}, seen_at=9)
    assert (seen.seen, seen.seen_at) == ({"status": "resolved", "status_word": "solved"}, 9)
