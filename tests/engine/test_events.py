"""Events: the kinds and roles there are, and what is refused."""

import pytest

from sla_plugin.engine.events import FIELDS, KINDS, ROLES, Event


@pytest.mark.parametrize("role", ["customer", "agent", "system", "unknown"])
def test_roles(role: str) -> None:
    assert role in ROLES
    assert Event("k", "reply.public", "1", 0, actor_role=role).actor_role == role


def test_an_event_says_nothing_that_nobody_told() -> None:
    event = Event("k", "ticket.updated", "1", None)
    assert (event.actor_role, event.public, event.opening, event.history, event.history_end) == ("unknown", None, False, False, False)
    assert (event.values, event.seen, event.added, event.removed) == ({}, {}, (), ())


@pytest.mark.parametrize(("told", "words"), [({"kind": "ticket.exploded"}, "unknown event kind"), ({"actor_role": "boss"}, "unknown actor role")])
def test_what_is_refused(told: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Event(**{"key": "k", "kind": "reply.public", "ticket": "1", "at": 0, **told})  # type: ignore[arg-type]


def test_the_kinds_that_connectors_and_people_make() -> None:
    changed = ("status", "priority", "type", "assignee", "group", "tags", "subject", "requester", "organization", "field", "customer", "contract")
    told = {f"ticket.{what}" for what in ("created", "updated", "observed", "merged", "deleted", "restored")}
    by_hand = {"deadline.extended", "extension.withdrawn", "policy.chosen", "override.refused", "escalation.requested"}
    others = {"reply.public", "note.internal", "rating.given", "history.ended", "own.write"}
    assert {*told, *by_hand, *others, *(f"{name}.changed" for name in changed)} == KINDS
    assert {"status", "priority", "created_at"} <= set(FIELDS)
