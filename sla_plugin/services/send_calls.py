"""The outbox, step by step: bind commands to calls, claim, freeze, settle. Vendor calls happen between these steps, never inside a transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sla_plugin.engine.events import Event
from sla_plugin.engine.facts import known_word
from sla_plugin.errors import ConnectorError, TemporaryFailure
from sla_plugin.ports import COMMANDS, AddComment, Answer, Assign, Command, Limits, SetPriority, SetStatus, TicketSnapshot, Words
from sla_plugin.services.evaluate_promises import evaluate_promises
from sla_plugin.services.outside import Outside
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import CIRCUIT_OPEN, Connection, get_state, note_state
from sla_plugin.store.db import Transaction
from sla_plugin.store.events import delete_event, event_row, find_comment, insert_events, last_deliveries, mark_own
from sla_plugin.store.outbox import (
    CallRow,
    CommandRow,
    add_call,
    commands_of,
    held_call,
    others_fail,
    settle_commands,
    superseded_since,
    tickets_with_pending,
    tries_since,
)
from sla_plugin.store.tickets import lock_promises

SECOND = 1_000_000
MAX_TRIES = 10
PATIENCE = 24 * 3600 * SECOND  # a call is given up only after that many tries and this long
LONGEST_WAIT = 900.0  # seconds; a vendor may ask for no more
CIRCUIT = 5  # failures in a row that open it


def bind_calls(tx: Transaction, now: int, limit: int) -> int:
    """Make a call for every ticket with pending commands and no open call. Returns how many."""
    made = 0
    rows = tickets_with_pending(tx, limit)
    for tenant in sorted({row.tenant_id for row in rows}):
        lock_promises(tx, tenant, {row.promise_id for row in rows if row.tenant_id == tenant})
    for row in rows:
        # each lost race makes the next try a little more patient
        lost = superseded_since(tx, row.tenant_id, row.connection_id, row.external_id, now - 600 * SECOND)
        wait = 0 if lost == 0 else min(SECOND // 10 * 2**lost, 60 * SECOND)
        trace = last_deliveries(tx, row.tenant_id, [row.promise_id]).get(row.promise_id)
        made += add_call(tx, row.tenant_id, row.connection_id, row.external_id, row.ticket_id, row.promise_id, now, now + wait, trace) is not None
    return made


def budget_wait(tx: Transaction, call: CallRow, limits: Limits, now: int) -> int:
    """Microseconds to wait before the vendor's documented limits allow this call; 0 = go."""
    minute = tries_since(tx, call.tenant_id, call.connection_id, now - 60 * SECOND)
    if limits.per_minute is not None and minute >= limits.per_minute:
        return 2 * SECOND
    if limits.per_ticket_ten_minutes is not None:
        ticket = tries_since(tx, call.tenant_id, call.connection_id, now - 600 * SECOND, call.external_id)
        if ticket >= limits.per_ticket_ten_minutes:
            return 20 * SECOND
    return 0


def postpone(tx: Transaction, tenant: int, call: int, lease: int, next_at: int) -> None:
    """Give a claimed call back untried."""
    row = held_call(tx, tenant, call, lease)
    if row is not None:
        row.state, row.next_at = "waiting", next_at
        tx.flush()


def leave(tx: Transaction, tenant: int, call: int, lease: int, now: int, reason: str) -> None:
    """A try broke off for a reason of our own: soon again, after reading how far it came."""
    row = held_call(tx, tenant, call, lease)
    if row is not None:
        row.state, row.next_at, row.unknown, row.reason = "waiting", now + 2 * SECOND, row.unknown or row.frozen is not None, reason[:500]
        if row.frozen is None:
            row.tries += 1  # `freeze` counts the others
        tx.flush()


def command_of(row: CommandRow) -> Command:
    """The command a row holds."""
    payload = dict(row.payload)
    if row.kind == "set_status":
        payload["expected"] = tuple(payload["expected"])
    return COMMANDS[row.kind](**payload)


def still_wanted(command: Command, snapshot: TicketSnapshot | None, words: Words) -> str | None:
    """None if the ticket still has the value the command expects to replace; else what overtook it. A comment is always wanted."""
    if snapshot is None:
        return None
    values = snapshot.values
    if isinstance(command, SetPriority) and "priority" in values:
        found = None if values["priority"] is None else known_word(words.priority, values["priority"]) or words.unset_priority
        if found != command.expected:
            return f"the priority is {values['priority']} by now"
    if isinstance(command, SetStatus) and "status" in values:
        found = known_word(words.status, values["status"])
        if found not in command.expected:
            return f"the status is {values['status']} by now"
        if str(values["status"]).lower() == words.status_out.get(command.to, "").lower():
            return f"the status is {values['status']} already"
    if isinstance(command, Assign) and values.get("assignee"):
        return f"{values['assignee']} has the ticket by now"
    return None


def describe(command: Command, words: Words) -> str:
    """What a command does, for the comment that goes with it."""
    if isinstance(command, SetPriority):
        before = words.priority_out.get(command.expected, command.expected) if command.expected else "not set"
        return f"priority {before} to {words.priority_out.get(command.to, command.to)}"
    if isinstance(command, SetStatus):
        return f"status set to {words.status_out.get(command.to, command.to)}"
    if isinstance(command, Assign):
        return f"assigned to user {command.assignee}"
    return ""


def carry(rows: Sequence[CommandRow], snapshot: TicketSnapshot | None, words: Words) -> tuple[list[CommandRow], list[Command], list[tuple[CommandRow, str]]]:
    """Split a call's commands into those still wanted (with the comment saying what goes with it) and those overtaken, with the reason."""
    kept, commands, overtaken = [], [], []
    for row in rows:
        command = command_of(row)
        reason = still_wanted(command, snapshot, words)
        if reason is None:
            kept.append(row)
            commands.append(command)
        else:
            overtaken.append((row, reason))
    done = [text for c in commands if (text := describe(c, words))]
    if done:
        commands = [replace(c, body=f"{c.body}\nDone with this note: {', '.join(done)}.") if isinstance(c, AddComment) else c for c in commands]
    return kept, commands, overtaken


def safe_at(commands: Sequence[Command], snapshot: TicketSnapshot, now: int) -> int | None:
    """When to read again because a write now could not be told from none; None = go.

    Only of a comment alone: whatever else is written shows in the ticket. A helpdesk whose clock is ahead by more than a second is not waited for.
    """
    if snapshot.repeatable_at is None or not commands or not all(isinstance(command, AddComment) for command in commands):
        return None
    return snapshot.repeatable_at if 0 < snapshot.repeatable_at - now <= SECOND else None


def freeze(
    tx: Transaction,
    call: CallRow,
    connection: Connection,
    frozen: Mapping[str, Any] | None,
    commands: Sequence[Command],
    overtaken: Sequence[tuple[CommandRow, str]],
    now: int,
    outside: Outside,
) -> bool:
    """Write down what is about to be sent; False if the lease was lost or nothing is left to send."""
    row = held_call(tx, call.tenant_id, call.id, call.lease)
    if row is None:
        return False
    if frozen:
        first = row.frozen is None
        row.frozen, row.tries, row.tried_at = dict(frozen), row.tries + 1, now
        row.first_tried_at = row.first_tried_at or now
        tx.flush()
        if first:
            # known before it leaves, so that its echo can never overtake it
            _own_write(tx, row, connection, commands, now, outside)
    for command, reason in overtaken:  # after the ticket was waited for: who evaluates it may be about to plan the same commands
        settle_commands(tx, call.tenant_id, [command.id], "overtaken", now, reason)
    if not frozen:
        row.state, row.settled_at, row.reason = "superseded", now, "overtaken: nothing was left to write"
        tx.flush()
        return False
    return True


def _own_write(tx: Transaction, call: CallRow, connection: Connection, commands: Sequence[Command], now: int, outside: Outside) -> None:
    words = outside.words(connection)
    values: dict[str, Any] = {}
    for command in commands:
        if isinstance(command, SetPriority):
            values["priority"] = words.priority_out.get(command.to, command.to)
        elif isinstance(command, SetStatus):
            values["status"] = words.status_out.get(command.to, command.to)
        elif isinstance(command, Assign):
            values["assignee"] = command.assignee
    if not values:
        return
    event = Event(key=f"own:{call.id}", kind="own.write", ticket=call.external_id, at=now, actor_role="system", values=values)
    row = event_row(call.tenant_id, connection.id, None, now, event, own=True)
    row["ticket_id"], row["promise_id"] = call.ticket_id, call.promise_id
    insert_events(tx, call.tenant_id, [row])
    evaluate_promises(
        tx, call.tenant_id, lock_promises(tx, call.tenant_id, [call.promise_id]), now, outside, {call.promise_id: {event.key: row["occurred_at"]}}
    )


def settle_sent(tx: Transaction, call: CallRow, connection: Connection, answer: Answer, now: int, outside: Outside) -> None:
    """The helpdesk applied the call."""
    row = held_call(tx, call.tenant_id, call.id, call.lease)
    if row is None:
        return
    row.state, row.settled_at, row.status, row.unknown = "sent", now, answer.status, False
    row.answer = {"audit_id": answer.audit_id, "comment_id": answer.comment_id, "at": answer.at}
    tx.flush()
    commands = commands_of(tx, call.tenant_id, call.id)
    if answer.comment_id:
        keys = find_comment(tx, call.tenant_id, call.promise_id, answer.comment_id)
        if keys:
            promises = lock_promises(tx, call.tenant_id, [call.promise_id])
            mark_own(tx, call.tenant_id, [(connection.id, key) for key in keys])
            evaluate_promises(tx, call.tenant_id, promises, now, outside, {})
    settle_commands(tx, call.tenant_id, [c.id for c in commands], "sent", now)
    state: dict[str, Any] = {"failures": 0, "paused_until": None, "paused_reason": None}
    if answer.limit_remaining is not None:
        state["limit_remaining"] = answer.limit_remaining
        if answer.limit_remaining <= 1 and answer.limit_reset_seconds:
            state.update(paused_until=now + int(answer.limit_reset_seconds * SECOND), paused_reason="the vendor's rate limit is nearly used up")
    note_state(tx, call.tenant_id, connection.id, **state)
    append_audit(
        tx, call.tenant_id, now, "machine", "written to helpdesk", {"ticket": call.external_id, "call": str(call.id), "commands": [c.kind for c in commands]}
    )


def settle_conflict(tx: Transaction, call: CallRow, connection: Connection, now: int, outside: Outside) -> None:
    """Somebody else changed the ticket: this call ends, its commands wait for a new one that reads again."""
    row = held_call(tx, call.tenant_id, call.id, call.lease)
    if row is None:
        return
    row.state, row.settled_at, row.status, row.reason = "superseded", now, 409, "the ticket was changed meanwhile; read again"
    tx.flush()
    _take_back(tx, call, connection, now, outside)
    settle_commands(tx, call.tenant_id, [c.id for c in commands_of(tx, call.tenant_id, call.id)], "pending", None)
    tx.after_commit(outside.queue.wake_outbox)


def settle_permanent(tx: Transaction, call: CallRow, connection: Connection, error: ConnectorError, now: int, outside: Outside) -> None:
    """Trying again changes nothing: failed, shown, replayable."""
    row = held_call(tx, call.tenant_id, call.id, call.lease)
    if row is None:
        return
    _take_back(tx, call, connection, now, outside)
    _fail(tx, row, error, now)  # last: it ends with the audit chain, and who has that waits for nobody


def _fail(tx: Transaction, row: CallRow, error: ConnectorError, now: int) -> None:
    row.state, row.settled_at, row.status, row.reason = "failed", now, error.status, str(error)[:500]
    tx.flush()
    settle_commands(tx, row.tenant_id, [c.id for c in commands_of(tx, row.tenant_id, row.id)], "failed", now, str(error)[:500])
    append_audit(tx, row.tenant_id, now, "machine", "write-back failed", {"ticket": row.external_id, "call": str(row.id), "status": error.status})


def _take_back(tx: Transaction, call: CallRow, connection: Connection, now: int, outside: Outside) -> None:
    promises = lock_promises(tx, call.tenant_id, [call.promise_id])
    delete_event(tx, call.tenant_id, connection.id, f"own:{call.id}")
    evaluate_promises(tx, call.tenant_id, promises, now, outside, {})


def settle_temporary(tx: Transaction, call: CallRow, connection: Connection, error: TemporaryFailure, now: int, jitter: float) -> None:
    """Try again later; `jitter` in [0, 1). A refusal that names a time pauses the whole connection until then."""
    row = held_call(tx, call.tenant_id, call.id, call.lease)
    if row is None:
        return
    if error.sent and row.frozen is not None:
        row.unknown = True
    row.status, row.reason = error.status, str(error)[:500]
    asked = error.retry_after is not None
    if row.frozen is None and not asked:
        row.tries += 1  # `freeze` counts the tries that came so far
    elif row.frozen is not None and asked:
        row.tries = max(row.tries - 1, 0)  # being asked to wait is no try
    if row.tries >= MAX_TRIES and now - row.created_at >= PATIENCE:
        _fail(tx, row, error, now)
        return
    # never within the second: vendors compare stamps of whole seconds
    wait = int((min(1.2 * 2 ** max(row.tries - 1, 0), 300.0) * (1 + 0.3 * jitter)) * SECOND)
    failures = get_state(tx, call.tenant_id, connection.id).failures + 1
    state: dict[str, Any] = {"failures": failures}
    if error.retry_after is not None:
        wait = max(int(min(error.retry_after, LONGEST_WAIT) * SECOND), 1_200_000 if error.sent else SECOND // 10)
        state.update(paused_until=now + wait, paused_reason=f"the helpdesk asked us to wait {error.retry_after:.0f} s ({error.status})", limit_remaining=0)
    elif failures >= CIRCUIT and others_fail(tx, call.tenant_id, connection.id, call.external_id):
        pause = min(2 * 2 ** (failures - CIRCUIT), 60) * SECOND
        state.update(paused_until=now + pause, paused_reason=f"{CIRCUIT_OPEN} after {failures} failures in a row: {str(error)[:200]}")
    row.state, row.next_at = "waiting", now + wait
    tx.flush()
    note_state(tx, call.tenant_id, connection.id, **state)
