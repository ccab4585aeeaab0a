"""Zendesk events that no sample file shows."""

import json
from typing import Any

import pytest

from connectors.registry import connector
from connectors.zendesk import inbound
from sla_plugin.errors import DeliveryUnreadable
from sla_plugin.ports import InboundRequest, Parsed

AT = 1_794_817_800_000_000  # 2026-11-16T08:30:00Z
DETAIL = {"id": "7", "submitter_id": "5", "created_at": "2026-11-16T08:30:00Z", "updated_at": "2026-11-16T08:30:00Z", "status": "OPEN"}


def parse(kind: str, event: Any, *, time: str = "2026-11-16T08:30:00.5Z", detail: dict[str, Any] | None = None, **options: Any) -> Parsed:
    body = {"type": f"zen:event-type:{kind}", "id": "u-1", "time": time, "detail": {**DETAIL, **(detail or {})}, "event": event}
    return connector("zendesk").parse(InboundRequest({}, json.dumps(body).encode(), 0), options)


def comment(author: str, *, staff: bool | None = False, public: bool = True) -> dict[str, Any]:
    return {"comment": {"id": 1, "is_public": public, "author": {"id": author, "is_staff": staff}}}


@pytest.mark.parametrize(
    ("event", "time", "expected"),
    [
        (comment("5"), "2026-11-16T08:30:02Z", ("reply.public", "customer", True)),
        (comment("5"), "2026-11-16T08:30:02.000001Z", ("reply.public", "customer", False)),
        (comment("6", staff=True), "2026-11-16T08:30:01Z", ("reply.public", "agent", False)),
        (comment("5", staff=True, public=False), "2026-11-16T08:30:00Z", ("note.internal", "agent", True)),
        (comment("6", staff=None), "2026-11-16T08:31:00Z", ("reply.public", "unknown", False)),
    ],
    ids=["opening", "too late to be the opening", "by somebody else", "internal opening", "role not told"],
)
def test_comments(event: Any, time: str, expected: tuple[str, str, bool]) -> None:
    (told,) = parse("ticket.comment_added", event, time=time).events
    assert (told.kind, told.actor_role, told.opening) == expected
    assert told.key == "comment:1"


@pytest.mark.parametrize(
    ("name", "event", "expected"),
    [
        ("status_changed", {"current": "HOLD", "previous": "OPEN"}, ("status.changed", "status", "OPEN", "HOLD")),
        ("type_changed", {"current": None, "previous": "TASK"}, ("type.changed", "type", "TASK", None)),
        ("subject_changed", {"current": "b"}, ("subject.changed", "subject", None, "b")),
        ("requester_changed", {"current": 8, "previous": "5"}, ("requester.changed", "requester", "5", "8")),
        ("organization_changed", {"current": None, "previous": 3}, ("organization.changed", "organization", "3", None)),
        ("brand_changed", {"current": "2"}, ("field.changed", "brand", None, "2")),
        ("form_changed", {"current": "2"}, ("field.changed", "form", None, "2")),
        ("problem_link_changed", {"current": "99"}, ("field.changed", "link", None, "99")),
        ("custom_field_changed", {"custom_field": {"id": 4}, "current": {"value": ["x"]}, "previous": None}, ("field.changed", "custom.4", None, ["x"])),
        ("custom_field_changed", {"custom_field": {"id": "4"}, "current": True}, ("field.changed", "custom.4", None, True)),
        ("merged", {}, ("ticket.merged", "merged_into", None, None)),
        ("permanently_deleted", {}, ("ticket.deleted", None, None, None)),
        ("marked_as_spam", None, ("ticket.deleted", None, None, None)),
        ("undeleted", {}, ("ticket.restored", None, None, None)),
        ("csat_received", {"rating": {"score": "GOOD"}}, ("rating.given", "rating", None, "GOOD")),
    ],
)
def test_changes(name: str, event: Any, expected: tuple[Any, ...]) -> None:
    (told,) = parse(f"ticket.{name}", event).events
    assert (told.kind, told.field, told.before, told.after) == expected
    assert told.key == "event:u-1"


@pytest.mark.parametrize(
    "kind",
    [
        *(f"ticket.{name}" for name in inbound._NO_FACT),
        "ticket.csat_received",
        "ticket.invented_tomorrow",
        "messaging_ticket.message_added",
        "organization.created",
        "user.created",
    ],
)
def test_what_has_no_fact_is_ignored_with_a_reason(kind: str) -> None:
    parsed = parse(kind, {})
    assert not parsed.events
    assert parsed.ignored


def test_the_snapshot_is_dated_by_the_ticket_where_that_is_later() -> None:
    (early,) = parse("ticket.status_changed", {"current": "OPEN"}).events
    (late,) = parse("ticket.status_changed", {"current": "OPEN"}, detail={"updated_at": "2026-11-16T08:30:01Z", "tags": None}).events
    assert (early.seen_at, late.seen_at) == (None, AT + 1_000_000)
    assert late.seen["tags"] == []
    assert "tags" not in early.seen


def test_a_missing_time_is_left_to_the_receipt() -> None:
    body = {"type": "zen:event-type:ticket.undeleted", "id": "u", "detail": {"id": 7}}
    (told,) = connector("zendesk").parse(InboundRequest({}, json.dumps(body).encode(), 0), {}).events
    assert (told.at, told.ticket) == (None, "7")


@pytest.mark.parametrize(
    ("options", "title", "applied"),
    [({}, "plan ", True), ({}, "Colour", False), ({"plan_field": 12}, "Colour", True), ({"plan_field": 13}, "Plan", False)],
    ids=["by title", "other title", "by id", "other id"],
)
def test_the_plan_field(options: dict[str, Any], title: str, applied: bool) -> None:
    change = {"custom_field": {"id": "12", "title": title}, "current": "gold", "previous": {"value": None}}
    parsed = parse("organization.custom_field_changed", change, **options)
    assert bool(parsed.events) is applied
    if applied:
        assert (parsed.events[0].customer, parsed.events[0].ticket, parsed.events[0].after) == ("7", None, "gold")


@pytest.mark.parametrize(
    ("kind", "event", "detail", "said"),
    [
        ("status_changed", {"current": 5}, {}, r"event.current must be a text \(found 5\)"),
        ("status_changed", {"current": None}, {}, "event.current"),
        ("status_changed", {}, {}, "event.current is missing"),
        ("status_changed", {"current": "OPEN"}, {"status": 4}, r"detail.status must be a text \(found 4\)"),
        ("status_changed", {"current": "OPEN"}, {"tags": ["a", 1]}, r"detail.tags\[1\]"),
        ("status_changed", {"current": "OPEN"}, {"id": None}, "detail.id"),
        ("status_changed", {"current": "OPEN"}, {"id": "9" * 256}, "longer than 255"),
        ("status_changed", {"current": "OPEN"}, {"created_at": "2026-11-16T08:30:00"}, "detail.created_at has no offset"),
        ("comment_added", {"comment": {"id": 1}}, {}, "event.comment.is_public is missing"),
        ("comment_added", {}, {}, "event.comment is missing"),
    ],
)
def test_wrong_values_are_named(kind: str, event: Any, detail: dict[str, Any], said: str) -> None:
    with pytest.raises(DeliveryUnreadable, match=said):
        parse(f"ticket.{kind}", event, detail=detail)


def test_what_is_not_used_may_be_anything() -> None:
    (told,) = parse("ticket.status_changed", {"current": "OPEN", "meta": 7}, detail={"description": 4, "form_id": {}, "new_thing": [1]}).events
    assert told.after == "OPEN"


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"priority": "p"}, "which key holds the ticket"),
        ({"ticket": "t", "colour": "c"}, "'colour'"),
        ({"ticket": "missing"}, "ticket must be|ticket Field may not"),
    ],
    ids=["no ticket", "unknown field", "ticket not in body"],
)
def test_a_bad_trigger_mapping_is_said(mapping: dict[str, str], said: str) -> None:
    with pytest.raises(DeliveryUnreadable, match=said):
        connector("zendesk").parse(InboundRequest({}, b'{"t": "1", "c": "red"}', 0), {"trigger": mapping})
