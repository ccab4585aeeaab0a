"""Rows of the database as the data that exports hold; see `sla_plugin.reports.exports` for what is promised about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sla_plugin.engine.durations import SECOND
from sla_plugin.engine.policies import ALWAYS_OPEN

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# what an event keeps under our export's words; the rest of its data follows
EVENT_DATA = ("field", "from", "to", "values", "comment_id", "added", "removed", "customer", "opening", "history", "history_end")


def instant_text(at: int | None) -> str | None:
    """Microseconds UTC as `2026-11-16T08:12:40Z`, with six more digits only where they say something."""
    if at is None:
        return None
    whole, fraction = divmod(at, SECOND)
    written = (_EPOCH + timedelta(seconds=whole)).strftime("%Y-%m-%dT%H:%M:%S")
    return written + (f".{fraction:06}" if fraction else "") + "Z"


def written_out(data: Any) -> Any:
    """The same data with instants as ISO 8601 (keys `*_at`, `from` and `to` of ledger rows)."""
    if isinstance(data, Mapping):
        return {k: instant_text(v) if _is_instant(k, v) else written_out(v) for k, v in data.items()}
    if isinstance(data, Sequence) and not isinstance(data, str):
        return [written_out(one) for one in data]
    return data


def _is_instant(key: str, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and (key.endswith("_at") or key in ("from", "to"))


@dataclass(frozen=True)
class Names:
    """Names by id, so that exports speak of what people call things."""

    policies: Mapping[int, str]
    calendars: Mapping[int, str]

    def policy(self, policy: int | None) -> str | None:
        """The policy's name."""
        return None if policy is None else self.policies.get(policy)

    def calendar(self, policy: int | None, calendar: int | None) -> str | None:
        """The calendar's name; a policy without one counts around the clock."""
        if calendar is None:
            return None if policy is None else ALWAYS_OPEN
        return self.calendars.get(calendar)


def _duration(name: str, amount: int | None) -> dict[str, Any]:
    if amount is None:
        return {name: None}
    exact = {} if amount % SECOND == 0 else {f"{name}_us": amount}
    return {name: amount // SECOND, **exact}


def delivery_data(row: Any, names: Names) -> dict[str, Any]:
    """A delivery."""
    d = row[1]
    return {
        "connection": row.connection,
        "key": d.delivery_key,
        "received_at": instant_text(d.received_at),
        "state": d.state,
        "reason": d.reason,
        "duplicates": d.duplicates,
        "tries": d.tries,
        "became": d.became,
        "applied_at": instant_text(d.applied_at),
    }


def event_data(row: Any, names: Names) -> dict[str, Any]:
    """An event in the words of the parsers; keys that say nothing are left out."""
    e = row[1]
    told: dict[str, Any] = {
        "kind": e.kind,
        "ticket": e.external_id,
        "at": instant_text(e.occurred_at),
        "actor_role": e.actor_role,
        "public": e.public,
    }
    if e.actor_id is not None:
        told["actor_id"] = e.actor_id
    told |= {name: e.data[name] for name in EVENT_DATA if name in e.data}
    if e.kind != "own.write":  # its key is an id of ours
        told["event_key"] = e.event_key
    told |= {"delivery": row.delivery_key, "connection": row.connection, "received_at": instant_text(e.received_at)}
    if e.said_at is not None:
        told["said_at"] = instant_text(e.said_at)
    if e.sequence is not None:
        told["sequence"] = e.sequence
    return told | {"own": e.own}


def ticket_data(row: Any, names: Names) -> dict[str, Any]:
    """A ticket and its promise."""
    t, p = row[1], row[2]
    plain = ("subject", "status", "status_word", "priority", "priority_word", "type", "category", "channel", "assignee")
    return {
        "ticket": t.external_id,
        "connection": row.connection,
        **{name: getattr(t, name) for name in plain},
        "group": t.team,
        "requester": t.requester,
        "organization": t.organization,
        "tags": t.tags,
        "fields": t.fields,
        "link": t.link,
        "gone": t.gone,
        "created_at": instant_text(t.created_at),
        "updated_at": instant_text(t.updated_at),
        "policy": names.policy(p.policy_id),
        "open": p.open,
        "history": p.history,
        "next_transition_at": instant_text(p.next_transition_at),
    }


def _terms(row: Any, names: Names) -> dict[str, Any]:
    return {
        "policy": names.policy(row.policy_id),
        "policy_version": row.policy_version,
        "calendar": names.calendar(row.policy_id, row.calendar_id),
        "calendar_version": row.calendar_version,
    }


def clock_data(row: Any, names: Names) -> dict[str, Any]:
    """A clock as it stood when it last changed."""
    c = row[1]
    return {
        "ticket": row.external_id,
        "connection": row.connection,
        "metric": c.metric,
        "cycle": c.cycle,
        "phase": c.phase,
        "open": c.open,
        "started_at": instant_text(c.started_at),
        "stopped_at": instant_text(c.stopped_at),
        "finished_at": instant_text(c.finished_at),
        **_duration("target", c.target),
        **_duration("allowance", c.allowance),
        **_duration("elapsed", c.elapsed),
        "business": c.business,
        "owner": c.owner,
        "counted_at": instant_text(c.counted_at),
        "deadline_at": instant_text(c.deadline_at),
        "deadline_next_open_at": instant_text(c.deadline_next_open_at),
        "warning_at": instant_text(c.warning_at),
        "critical_at": instant_text(c.critical_at),
        "breached_at": instant_text(c.breached_at),
        **_terms(c, names),
    }


def record_data(row: Any, names: Names) -> dict[str, Any]:
    """A compliance record."""
    r = row[1]
    return {
        "ticket": r.external_id,
        "connection": row.connection,
        "metric": r.metric,
        "cycle": r.cycle,
        "started_at": instant_text(r.started_at),
        "stopped_at": instant_text(r.stopped_at),
        "finished_at": instant_text(r.finished_at),
        **_duration("target", r.target),
        **_duration("granted", r.granted),
        **_duration("elapsed", r.elapsed),
        **_duration("elapsed_wall", r.elapsed_wall),
        "met": r.met,
        **_duration("overrun", r.overrun),
        "deadline_at": instant_text(r.deadline_at),
        "breached_at": instant_text(r.breached_at),
        **_terms(r, names),
        **{name: getattr(r, name) for name in ("priority", "type", "category", "channel", "assignee")},
        "group": r.team,
        "organization": r.organization,
        "owner": r.owner,
    }


def _net(net: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The verdict inside a correction with its instants and durations written out."""
    if net is None:
        return None
    told: dict[str, Any] = {}
    for name, value in net.items():
        if name.endswith("_at"):
            told[name] = instant_text(value)
        else:
            told |= _duration(name, value) if name in ("target", "elapsed") else {name: value}
    return told


def correction_data(row: Any, names: Names) -> dict[str, Any]:
    """A correction."""
    c = row[1]
    return {
        "ticket": row.external_id,
        "connection": row.connection,
        "metric": c.metric,
        "cycle": c.cycle,
        "number": c.number,
        "was": _net(c.was),
        "now": _net(c.now),
        "late_events": c.cause.get("events", []),
        "made_at": instant_text(c.made_at),
    }


def alert_data(row: Any, names: Names) -> dict[str, Any]:
    """An alert."""
    a = row[1]
    return {
        "ticket": a.external_id,
        "connection": row.connection,
        "metric": a.metric,
        "cycle": a.cycle,
        "level": a.level,
        "due_at": instant_text(a.due_at),
        "raised_at": instant_text(a.raised_at),
        "policy": names.policy(a.policy_id),
        "policy_version": a.policy_version,
        "acknowledged_at": instant_text(a.acknowledged_at),
        "acknowledged_by": a.acknowledged_by,
        "note": a.note,
    }


def command_data(row: Any, names: Names) -> dict[str, Any]:
    """A command."""
    c = row[1]
    return {
        "ticket": c.external_id,
        "connection": row.connection,
        "kind": c.kind,
        "payload": c.payload,
        "cause": c.cause,
        "state": c.state,
        "reason": c.reason,
        "due_at": instant_text(c.due_at),
        "created_at": instant_text(c.created_at),
        "settled_at": instant_text(c.settled_at),
    }


def call_data(row: Any, names: Names) -> dict[str, Any]:
    """A call; what was sent carries ids and is told with them."""
    c = row[1]
    answer = c.answer or {}
    return {
        "ticket": c.external_id,
        "connection": row.connection,
        "state": c.state,
        "tries": c.tries,
        "status": c.status,
        "reason": c.reason,
        "unknown": c.unknown,
        "created_at": instant_text(c.created_at),
        "first_tried_at": instant_text(c.first_tried_at),
        "tried_at": instant_text(c.tried_at),
        "settled_at": instant_text(c.settled_at),
        "next_at": instant_text(c.next_at) if c.state == "waiting" else None,
        "audit_id": answer.get("audit_id"),
        "comment_id": answer.get("comment_id"),
    }
