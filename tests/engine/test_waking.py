"""What can move a metric's clock, read off its conditions."""

from typing import Any

import pytest

from sla_plugin.engine.metrics.waking import Waking, reads_the_event, waking

STATUS = {"field": "status", "is": "open"}
REPLY = {"field": "event", "is": "reply.public"}
AGENT = {"field": "actor_role", "is": "agent"}


def woken(*kinds: str, fields: tuple[str, ...] = (), always: bool = False) -> Waking:
    return Waking(frozenset(kinds), frozenset(fields), always)


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        (None, woken()),
        ({}, woken()),
        (STATUS, woken(fields=("status",))),
        (REPLY, woken("reply.public")),
        ({"field": "event", "in": ["Reply.Public", "note.internal"]}, woken("reply.public", "note.internal")),
        ({"field": "event", "is_not": "reply.public"}, woken(always=True)),
        (AGENT, woken(fields=("actor_role",), always=True)),
        ({"field": "opening", "is": True}, woken(fields=("opening",), always=True)),
        ({"field": "reopened", "is": True}, woken(fields=("status",))),
        ({"field": "moved", "in": ["group", "assignee"]}, woken(fields=("group", "assignee"))),
        ({"field": "moved", "is_set": True}, woken(always=True)),
        ({"all": [AGENT, REPLY, STATUS]}, woken("reply.public")),  # one event decides
        ({"all": [AGENT, STATUS]}, woken(fields=("actor_role", "status"), always=True)),
        ({"any": [REPLY, STATUS]}, woken("reply.public", fields=("status",))),
        ({"none": [REPLY]}, woken("reply.public")),
        ({"not": STATUS}, woken(fields=("status",))),
    ],
)
def test_what_wakes_a_condition(definition: Any, found: Waking) -> None:
    assert waking([definition]) == found


def test_what_wakes_any_of_several() -> None:
    assert waking([STATUS, REPLY, None]) == woken("reply.public", fields=("status",))
    assert waking([]) == woken()


@pytest.mark.parametrize(
    ("definition", "reads"),
    [
        (None, False),
        ("status", False),
        (STATUS, False),
        (REPLY, True),
        (AGENT, True),
        ({"field": "moved", "is": "group"}, True),
        ({"field": "reopened", "is": True}, True),
        ({"field": "public", "is": True}, True),
        ({"all": [STATUS, STATUS]}, False),
        ({"all": [STATUS, REPLY]}, True),
        ({"not": {"any": [STATUS, AGENT]}}, True),
        ({"not": STATUS}, False),
    ],
)
def test_whether_a_condition_is_about_a_moment(definition: Any, reads: bool) -> None:
    assert reads_the_event(definition) is reads
