"""Recognise our own writes when they come back as webhooks: by comment id, or by ticket, field, value and time, never by author alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from sla_plugin.engine.facts import known_word
from sla_plugin.ports import Words
from sla_plugin.services.outside import Outside
from sla_plugin.store.connections import Connection
from sla_plugin.store.db import Transaction
from sla_plugin.store.outbox import CallRow, CommandRow, calls_of_ticket, commands_by_calls

_BEFORE = 2_000_000  # the vendor's clock may run behind ours
_STAMP = 1_000_000  # a helpdesk's stamps may have whole seconds
_AFTER = 2_000_000  # of the vendor's own instant, however late its webhook comes


def mark_echoes(tx: Transaction, tenant: int, rows: Sequence[dict[str, Any]], connections: Mapping[int, Connection], outside: Outside) -> None:
    """Set `own` on event rows that are echoes of calls that left (events of tickets we never wrote to cost one query per connection)."""
    by_connection: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["external_id"] is not None and not row["data"].get("history"):
            by_connection.setdefault(row["connection_id"], []).append(row)
    for connection_id, events in by_connection.items():
        calls = calls_of_ticket(tx, tenant, connection_id, sorted({e["external_id"] for e in events}))
        if not calls:
            continue
        commands: dict[int, list[CommandRow]] = {}
        for command in commands_by_calls(tx, tenant, [c.id for c in calls]):
            if command.call_id is not None:
                commands.setdefault(command.call_id, []).append(command)
        connection = connections[connection_id]
        words = outside.words(connection)
        for event in events:
            event["own"] = any(
                call.external_id == event["external_id"] and _is_echo(event, call, commands.get(call.id, ()), words, connection.facts.get("user_id"))
                for call in calls
            )


def _is_echo(event: Mapping[str, Any], call: CallRow, commands: Sequence[CommandRow], words: Words, our_user: str | None) -> bool:
    if call.first_tried_at is None or not (call.state in ("sending", "sent") or call.unknown):
        return False  # it never reached the helpdesk
    comment = event["data"].get("comment_id")
    if comment is not None and call.answer and call.answer.get("comment_id") == comment:
        return True
    if not _in_time(event, call):
        return False
    if event["kind"] in ("note.internal", "reply.public"):
        # the answer with the comment's id is not in yet: our user, our kind of comment, our time
        public = event["kind"] == "reply.public"
        return (
            our_user is not None
            and event["actor_id"] == our_user
            and not (call.answer or {}).get("comment_id")
            and any(c.kind == "add_comment" and bool(c.payload["public"]) == public for c in commands)
        )
    if our_user is not None and event["actor_id"] is not None and event["actor_id"] != our_user:
        return False
    told, replaced = event["data"].get("to"), event["data"].get("from")
    for command in commands:
        if command.state not in ("calling", "sent") or not _replaces(command, replaced, words):
            continue
        if command.kind == "set_priority" and event["kind"] == "priority.changed" and known_word(words.priority, told) == command.payload["to"]:
            return True
        if command.kind == "set_status" and event["kind"] == "status.changed" and str(told).lower() == words.status_out.get(command.payload["to"], "").lower():
            return True
        if command.kind == "assign" and event["kind"] == "assignee.changed" and str(told) == command.payload["assignee"]:
            return True
    return False


def _in_time(event: Mapping[str, Any], call: CallRow) -> bool:
    """Did it happen while the call was under way: by our clock, or at the instant that the helpdesk itself gave in its answer (clocks may differ)?"""
    at: int = event["occurred_at"]
    answered: int | None = (call.answer or {}).get("at")
    if answered is not None and answered - _STAMP <= at <= answered + _STAMP:
        return True
    return (call.first_tried_at or 0) - _BEFORE <= at <= (call.settled_at or event["received_at"]) + _AFTER


def _replaces(command: CommandRow, value: object, words: Words) -> bool:
    """Is `value` what the command meant to replace? Another value was replaced by somebody else."""
    expected = command.payload.get("expected")
    if command.kind == "set_priority":
        return expected is None if value is None else known_word(words.priority, value) == expected
    if command.kind == "set_status":
        return known_word(words.status, value) in (expected or ())
    return not value
